/**
 * Whether the tally says exactly what the election file says, by candidate, by county and by precinct at one cut (I5, I7),
 * and whether a recount of the stored rows agrees with the tally.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ElectionFile, OptionCounts } from "#bench/election-file.ts";
import { CallError } from "#mesh/call-error.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type {
  GetTallyResponse,
  RecountProgress,
  RecountResult,
  RegionTally,
  TallyCut,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

export type TallyCheckOptions = {
  /** gRPC address "host:port" of a router or of the tally. */
  readonly address: string;
  /** What is shown there; undefined where it speaks plaintext. */
  readonly identity?: Identity | undefined;
  /** What was cast. */
  readonly file: ElectionFile;
  /** How many ballots were acknowledged: the tally is given time to reach them. */
  readonly acknowledged: number;
  /** How long to wait for that, and for an answer at all; default 30 s. */
  readonly waitMs?: number;
  readonly onRecountProgress?: (progress: RecountProgress) => void;
};

export type TallyVerdict = {
  readonly tallyMatchesFile: boolean;
  readonly recountMatchesTally: boolean;
  /** Ballots in the tally at the cut that was compared. */
  readonly ballots: number;
  /** What does not match, in words; the first 100. */
  readonly differences: readonly string[];
};

/** The counts of every region at one cut. */
export type TallySnapshot = {
  readonly cut: TallyCut;
  readonly root: RegionTally;
  readonly counties: readonly RegionTally[];
  readonly precincts: readonly RegionTally[];
};

const differencesMax = 100;
const pauseMs = 100;
const callLimitMs = 10_000;
/** Frames change while the two reads are made; both have to be of one frame. */
const sameFrameTries = 50;

export async function checkTally(options: TallyCheckOptions): Promise<TallyVerdict> {
  const { address, file, acknowledged, waitMs = 30_000 } = options;
  const client = createClient(TallyService, address, options.identity);
  try {
    const endMs = performance.now() + waitMs;
    const snapshot = await untilReached(client, file.electionId, acknowledged, endMs);
    const tallyDifferences = differencesFromFile(file, snapshot);
    const result = await retried(endMs, () => recount(client, file.electionId, options.onRecountProgress));
    const recountDifferences = differencesFromRecount(result, Number(snapshot.root.ballots));
    const differences = [...tallyDifferences, ...recountDifferences];
    return {
      tallyMatchesFile: tallyDifferences.length === 0,
      recountMatchesTally: recountDifferences.length === 0,
      ballots: Number(snapshot.root.ballots),
      differences: firstOf(differences),
    };
  } finally {
    client.close();
  }
}

/** All regions of an election at one cut: the root and its children in one message, the leaves in the table. */
export async function readSnapshot(client: Client<typeof TallyService>, electionId: string): Promise<TallySnapshot> {
  for (let tries = 1; ; tries++) {
    const tally = await client.getTally({ electionId }, { deadlineMs: callLimitMs });
    const table = await readTable(client, electionId);
    const { cut, root } = cutAndRoot(tally);
    if (frameName(cut) === frameName(table.cut)) {
      return { cut, root, counties: tally.children, precincts: table.precincts };
    }
    if (tries === sameFrameTries) throw new Error(`the tally and its table were of two frames ${tries} times`);
  }
}

function cutAndRoot({ cut, region }: GetTallyResponse): { cut: TallyCut; root: RegionTally } {
  if (cut === undefined || region === undefined) throw new Error("a tally without its cut or region");
  return { cut, root: region };
}

async function readTable(client: Client<typeof TallyService>, electionId: string) {
  const precincts: RegionTally[] = [];
  let cut: TallyCut | undefined;
  for await (const part of client.getTallyTable({ electionId }, { deadlineMs: callLimitMs })) {
    if (part.cut === undefined) throw new Error("a part of the tally table without its cut");
    cut ??= part.cut;
    if (frameName(cut) !== frameName(part.cut)) throw new Error("parts of one tally table bear different cuts (I7)");
    precincts.push(...part.regions);
  }
  if (cut === undefined) throw new Error("an empty tally table");
  return { cut, precincts };
}

function frameName({ frame, vector }: TallyCut): string {
  const batches = vector.map(({ shardId, batch }) => `${shardId}:${batch}`).join(" ");
  return `${frame?.incarnation}/${frame?.number} ${batches}`;
}

/** The first snapshot with all acknowledged ballots and all shards, or the last one before the time is up. */
async function untilReached(
  client: Client<typeof TallyService>,
  electionId: string,
  acknowledged: number,
  endMs: number,
): Promise<TallySnapshot> {
  for (;;) {
    const snapshot = await retried(endMs, () => readSnapshot(client, electionId));
    const reached = Number(snapshot.root.ballots) >= acknowledged && snapshot.cut.missing.length === 0;
    if (reached || performance.now() > endMs) return snapshot;
    await delay(pauseMs);
  }
}

/** Tries again while nothing answers: the tally may be starting again. */
async function retried<T>(endMs: number, read: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      const mayPass = error instanceof CallError || (error instanceof RejectionError && error.retryable);
      if (!mayPass || performance.now() > endMs) throw error;
      await delay(pauseMs);
    }
  }
}

async function recount(
  client: Client<typeof TallyService>,
  electionId: string,
  onProgress: ((progress: RecountProgress) => void) | undefined,
): Promise<RecountResult> {
  let result: RecountResult | undefined;
  for await (const { part } of client.recount({ electionId })) {
    if (part.case === "progress") onProgress?.(part.value);
    if (part.case === "result") result = part.value;
  }
  if (result === undefined) throw new CallError("UNAVAILABLE", "the recount ended without a result");
  return result;
}

/** What differs between a file and a snapshot, in words. */
export function differencesFromFile(file: ElectionFile, snapshot: TallySnapshot): string[] {
  const { byOption, byCounty, byPrecinct } = file.expected;
  const differences = snapshot.cut.missing.map(({ shardId }) => `shard ${shardId} is missing from the tally`);
  compareRegion(differences, "all", byOption, snapshot.root);
  compareRegions(differences, byCounty, snapshot.counties);
  compareRegions(differences, byPrecinct, snapshot.precincts);
  return differences;
}

function compareRegions(
  differences: string[],
  expected: ReadonlyMap<string, OptionCounts>,
  seen: readonly RegionTally[],
): void {
  const tallies = new Map(seen.map((tally) => [tally.regionId, tally]));
  if (tallies.size !== seen.length) differences.push("the tally lists a region twice");
  for (const [regionId, options] of expected) {
    const tally = tallies.get(regionId);
    if (tally === undefined) differences.push(`${regionId}: not in the tally`);
    else compareRegion(differences, regionId, options, tally);
    tallies.delete(regionId);
  }
  for (const regionId of tallies.keys()) differences.push(`${regionId}: not in the file`);
}

function compareRegion(differences: string[], name: string, expected: OptionCounts, tally: RegionTally): void {
  const compare = (what: string, file: number, seen: bigint) => {
    if (BigInt(file) !== seen) differences.push(`${name}, ${what}: ${file} in the file, ${seen} in the tally`);
  };
  const ballots = [...expected.values()].reduce((sum, n) => sum + n, 0);
  compare("ballots", ballots, tally.ballots);
  compare("contests", 1, BigInt(tally.contests.length));
  const [contest] = tally.contests;
  if (contest === undefined) return;
  compare("undervotes", 0, contest.undervotes);
  const counts = new Map(contest.options.map(({ optionId, count }) => [optionId, count]));
  for (const optionId of new Set([...expected.keys(), ...counts.keys()])) {
    compare(optionId, expected.get(optionId) ?? 0, counts.get(optionId) ?? 0n);
  }
}

function differencesFromRecount(result: RecountResult, ballots: number): string[] {
  const differences = result.differences.map(({ shardId, regionId, contestId, optionId, tally, rows }) => {
    const what = contestId === "" ? "ballots" : `${contestId} ${optionId === "" ? "undervotes" : optionId}`;
    return `recount of shard ${shardId}, ${regionId}, ${what}: ${tally} in the tally, ${rows} rows`;
  });
  if (Number(result.rowsCounted) < ballots) {
    differences.push(`the recount found ${result.rowsCounted} rows for ${ballots} ballots of the tally`);
  }
  if (!result.matches && differences.length === 0) differences.push("the recount says that it does not match");
  return differences;
}

function firstOf(differences: readonly string[]): string[] {
  if (differences.length <= differencesMax) return [...differences];
  return [...differences.slice(0, differencesMax), `and ${differences.length - differencesMax} more`];
}
