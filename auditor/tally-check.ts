/** The published tally of an election against what the rows count, at the tally's own cut, and signed results likewise (I7). */
import type { RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { AuditedElection } from "./audited-election.ts";
import { cellName } from "./batch-counts.ts";
import type { FindingBook } from "./finding-book.ts";
import type { TallyTable } from "./outside-word.ts";
import type { KnownResult } from "./shard-witness.ts";

/** "region" → "mayor: ada" → count; zeros are left out. */
type Counts = Map<string, Map<string, number>>;

/** `elections`: the same election on each shard; its rows were counted up to the tally's cut. */
export function checkTally(
  electionId: string,
  { cut, regions }: TallyTable,
  elections: readonly AuditedElection[],
  findings: FindingBook,
): void {
  const told: Counts = new Map();
  for (const region of regions) addRegion(told, region);
  const counted: Counts = new Map();
  for (const election of elections) addRows(counted, election, cut.sealed);
  for (const region of new Set([...told.keys(), ...counted.keys()])) {
    const [ofTally, ofRows] = [told.get(region), counted.get(region)];
    for (const what of new Set([...(ofTally?.keys() ?? []), ...(ofRows?.keys() ?? [])])) {
      const [tally, rows] = [ofTally?.get(what) ?? 0, ofRows?.get(what) ?? 0];
      if (tally === rows) continue;
      const detail = `${region}, ${what}: ${tally} in the tally, ${rows} in the rows`;
      findings.add({ kind: "TALLY_DIFFERS", electionId, detail });
    }
  }
}

function addRegion(counts: Counts, { regionId, ballots, contests }: RegionTally): void {
  add(counts, regionId, "ballots", Number(ballots));
  for (const { contestId, options, undervotes } of contests) {
    for (const { optionId, count } of options) add(counts, regionId, `${contestId}: ${optionId}`, Number(count));
    add(counts, regionId, `${contestId}: undervotes`, Number(undervotes));
  }
}

function addRows(counts: Counts, { terms, tallied, cells }: AuditedElection, ballotsOnly: boolean): void {
  const { shape } = terms;
  for (const [place, n] of tallied) {
    const meaning = shape?.cellMeanings[place % cells];
    if (ballotsOnly && meaning?.kind !== "ballots") continue;
    add(counts, shape?.leaves[Math.floor(place / cells)] ?? "?", cellName(meaning), n);
  }
}

function add(counts: Counts, region: string, what: string, n: number): void {
  if (n === 0) return;
  const ofRegion = counts.get(region) ?? new Map<string, number>();
  counts.set(region, ofRegion.set(what, (ofRegion.get(what) ?? 0) + n));
}

/**
 * What one shard signed at an election's close against its rows; root and size are compared with the tree. `present` is the log's
 * generation now: what was signed before a loss was accepted need not hold after it.
 */
export function checkResult(
  shardId: number,
  { result, generation }: KnownResult,
  present: number,
  election: AuditedElection | undefined,
  findings: FindingBook,
): void {
  const { electionId } = result;
  const kind = generation < present ? "LOSS_ACCEPTED" : "RESULT_DIFFERS";
  const differs = (holds: boolean, detail: string) =>
    findings.demand(holds, () => ({ kind, shardId, electionId, detail }));
  if (election === undefined) {
    differs(false, "the shard has signed a result of it, and does not know it");
    return;
  }
  const { terms, totals } = election;
  differs(result.definitionHash.equals(terms.definitionHash), "the signed result is of another definition");
  differs(
    result.closeBatch === terms.closeBatch,
    `the signed result says that it closed in batch ${result.closeBatch}, and the shard in batch ${terms.closeBatch}`,
  );
  const signed = new Map<string, number>([["ballots", result.ballots]]);
  for (const { contestId, options, undervotes } of result.contests) {
    for (const { optionId, count } of options) signed.set(`${contestId}: ${optionId}`, count);
    signed.set(`${contestId}: undervotes`, undervotes);
  }
  for (const [cell, meaning] of (terms.shape?.cellMeanings ?? []).entries()) {
    const [what, rows] = [cellName(meaning), totals.get(cell) ?? 0];
    const told = signed.get(what) ?? 0;
    differs(told === rows, `${what}: ${told} in the signed result, ${rows} in the rows`);
  }
}
