/** A tally that was read over gRPC against the rows that the checker has read itself, at the tally's own cut (A5, I7). */
import type { Findings } from "#bench/checker-findings.ts";
import type { ShardState } from "#bench/checker-shard.ts";
import type { TallySnapshot } from "#bench/tally-check.ts";
import type { RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";

/** "region cell name" → count. */
type Counts = Map<string, number>;

export function checkTallySnapshot(
  findings: Findings,
  shards: readonly ShardState[],
  electionId: string,
  snapshot: TallySnapshot,
): void {
  const { cut } = snapshot;
  const reach = new Map(cut.vector.map(({ shardId, batch }) => [shardId, Number(batch)]));
  const missing = shards.filter(({ shardId }) => !reach.has(shardId)).map(({ shardId }) => shardId);
  findings.demand("A5", missing.length === 0, () => `the tally's cut lacks the shards ${missing.join(", ")}`);
  const rows: Counts = new Map();
  for (const shard of shards) addRows(rows, shard, electionId, reach.get(shard.shardId) ?? 0, cut.sealed);
  for (const [regions, name] of [
    [[snapshot.root], "root"],
    [snapshot.counties, "counties"],
    [snapshot.precincts, "precincts"],
  ] as const) {
    compare(findings, `${electionId} ${name}`, countsOf(regions), atLevel(rows, regions));
  }
}

function addRows(counts: Counts, shard: ShardState, electionId: string, throughBatch: number, sealed: boolean): void {
  for (const { election, batch, region, ballot } of shard.votes) {
    const stored = shard.elections.get(election);
    if (stored === undefined || stored.electionId !== electionId || batch > throughBatch) continue;
    const { leaves, cellNames } = stored.reading;
    for (const [cell, n] of stored.reading.counts(region, ballot) ?? []) {
      if (sealed && cell !== 0) continue;
      const key = `${leaves[region]} ${cellNames[cell]}`;
      counts.set(key, (counts.get(key) ?? 0) + n);
    }
  }
}

/** Sums the counts of leaves into those regions of the list that hold them. */
function atLevel(leafCounts: Counts, regions: readonly RegionTally[]): Counts {
  const names = new Set(regions.map(({ regionId }) => regionId));
  const sums: Counts = new Map();
  for (const [key, n] of leafCounts) {
    const space = key.indexOf(" ");
    const parts = key.slice(0, space).split("/");
    for (let depth = 0; depth <= parts.length; depth++) {
      const region = parts.slice(0, depth).join("/");
      if (!names.has(region)) continue;
      const sum = `${region}${key.slice(space)}`;
      sums.set(sum, (sums.get(sum) ?? 0) + n);
    }
  }
  return sums;
}

function countsOf(regions: readonly RegionTally[]): Counts {
  const counts: Counts = new Map();
  const set = (key: string, n: bigint) => {
    if (n !== 0n) counts.set(key, Number(n));
  };
  for (const { regionId, ballots, contests } of regions) {
    set(`${regionId} ballots`, ballots);
    for (const { contestId, options, undervotes } of contests) {
      set(`${regionId} ${contestId} undervotes`, undervotes);
      for (const { optionId, count } of options) set(`${regionId} ${contestId} ${optionId}`, count);
    }
  }
  return counts;
}

function compare(findings: Findings, name: string, tally: Counts, rows: Counts): void {
  for (const key of new Set([...tally.keys(), ...rows.keys()])) {
    const [told, stored] = [tally.get(key) ?? 0, rows.get(key) ?? 0];
    findings.demand("A5", told === stored, () => `${name}, ${key}: ${told} in the tally, ${stored} in the rows`);
  }
}
