import { create } from "@bufbuild/protobuf";
import { beforeEach, expect, test } from "vitest";
import { ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionCountsSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { RecountProgress, RecountResult } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { noAudit } from "./audit-board.ts";
import { CountBook } from "./count-book.ts";
import { Frame } from "./frame.ts";
import { FrameHolder } from "./frame-holders.ts";
import { recount } from "./recount.ts";
import type { Delta } from "./sample-election.ts";
import { ballotFor, CLOSED, cell, columns, countsMessage, leaf, OPEN, sampleShape } from "./sample-election.ts";
import type { RowCounter, RowCountRequest } from "./shard-rows.ts";

const onShard0: Delta[] = [...ballotFor(leaf.hill, cell.ada), ...ballotFor(leaf.coast, cell.ben)];
const onShard1: Delta[] = ballotFor(leaf.hill, cell.ben);
const never = new AbortController().signal;
let book: CountBook;
/** What the rows of each shard come to. */
let rows: Map<number, readonly Delta[]>;
let asked: { shardId: number; throughBatch: bigint }[];

beforeEach(() => {
  book = new CountBook([0, 1]);
  rows = new Map([
    [0, onShard0],
    [1, onShard1],
  ]);
  asked = [];
});

function vote(results = ResultsVisibility.LIVE): void {
  book.define(sampleShape({ results }));
  book.fold(0, countsMessage({ from: 1, through: 7, state: OPEN, deltas: onShard0 }));
  book.fold(1, countsMessage({ from: 1, through: 3, state: OPEN, deltas: onShard1 }));
}

const countRows: RowCounter = async ({ shardId, electionId, throughBatch, onProgress }) => {
  asked.push({ shardId, throughBatch });
  const deltas = rows.get(shardId) ?? [];
  onProgress(BigInt(deltas.filter(([, at]) => at === cell.ballots).length));
  return create(ElectionCountsSchema, columns(electionId, deltas));
};

const frame = () =>
  new Frame({ incarnation: 1n, number: 1n, asOfMs: 0, book: book.snapshot(), missing: [], audit: noAudit });
const start = (counter = countRows, signal = never) =>
  recount(new FrameHolder(frame(), 0), "mayor", [0, 1], counter, signal);

async function run(counter = countRows): Promise<{ progress: RecountProgress[]; result: RecountResult }> {
  const progress: RecountProgress[] = [];
  for await (const { part } of start(counter)) {
    if (part.case === "progress") progress.push(part.value);
    if (part.case === "result") return { progress, result: part.value };
  }
  throw new Error("the recount gave no result");
}

test("a recount asks every shard for the rows up to the frame's cut, and agrees with the tally (I7)", async () => {
  vote();
  const { progress, result } = await run();
  expect(asked).toEqual([
    { shardId: 0, throughBatch: 7n },
    { shardId: 1, throughBatch: 3n },
  ]);
  expect(progress.at(-1)).toMatchObject({ rowsCounted: 3n, rowsExpected: 3n });
  expect(result).toMatchObject({ matches: true, rowsCounted: 3n, differenceCount: 0n, differences: [] });
  expect(result.vector.map(({ shardId, batch }) => [shardId, batch])).toEqual([
    [0, 7n],
    [1, 3n],
  ]);
});

test("a row that was changed makes the recount differ, where it was changed, though the totals are the same", async () => {
  vote();
  rows.set(1, ballotFor(leaf.hill, cell.ada));
  const { result } = await run();
  expect(result).toMatchObject({ matches: false, differenceCount: 2n });
  const where = { shardId: 1, regionId: "north/hill", contestId: "mayor" };
  expect(result.differences).toEqual([
    expect.objectContaining({ ...where, optionId: "ada", tally: 0n, rows: 1n }),
    expect.objectContaining({ ...where, optionId: "ben", tally: 1n, rows: 0n }),
  ]);
});

test("a row that is on another shard than it was counted on makes the recount differ", async () => {
  vote();
  rows.set(0, [...onShard0, ...onShard1]);
  rows.set(1, []);
  expect((await run()).result).toMatchObject({ matches: false, differenceCount: 6n });
});

test("rows of regions and choices that do not exist are differences, not failures", async () => {
  vote();
  rows.set(1, [...onShard1, [77, cell.ballots, 1], [leaf.hill, 99, 1]]);
  const { result } = await run();
  expect(result).toMatchObject({ matches: false, rowsCounted: 4n, differenceCount: 2n });
  expect(result.differences.map(({ regionId, contestId }) => [regionId, contestId])).toEqual([
    ["unknown region 77", ""],
    ["north/hill", "unknown cell 99"],
  ]);
});

test("a shard that does not know the election has no rows of it", async () => {
  vote();
  const { result } = await run((request) => (request.shardId === 1 ? Promise.resolve(undefined) : countRows(request)));
  expect(result).toMatchObject({ matches: false, rowsCounted: 2n, differenceCount: 3n });
});

test("a sealed election is recounted after its close only", async () => {
  vote(ResultsVisibility.SEALED);
  await expect(run()).rejects.toMatchObject({ reason: "RESULTS_SEALED" });
  expect(asked).toEqual([]);
  book.fold(0, countsMessage({ from: 8, state: CLOSED }));
  book.fold(1, countsMessage({ from: 4, state: CLOSED }));
  expect((await run()).result.matches).toBe(true);
});

test("a recount without one of the shards would prove nothing, and is refused", async () => {
  book.define(sampleShape());
  book.fold(0, countsMessage({ from: 1, through: 7, state: OPEN, deltas: onShard0 }));
  await expect(run()).rejects.toMatchObject({
    reason: "SHARD_UNAVAILABLE",
    message: expect.stringContaining("shard 1"),
  });
});

test("when one shard fails the recount fails, and the others are told to stop", async () => {
  vote();
  const stopped = Promise.withResolvers<void>();
  const failing: RowCounter = async ({ shardId, signal }) => {
    if (shardId === 1) throw new RejectionError("SHARD_UNAVAILABLE");
    await untilAborted(signal);
    stopped.resolve();
    return undefined;
  };
  await expect(run(failing)).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  await stopped.promise;
});

test("when the caller leaves, the shards are told to stop", async () => {
  vote();
  const caller = new AbortController();
  let running = 0;
  const endless = async ({ signal, onProgress }: RowCountRequest) => {
    running += 1;
    onProgress(1n);
    await untilAborted(signal);
    running -= 1;
    throw new RejectionError("SHARD_UNAVAILABLE");
  };
  const messages = start(endless, caller.signal);
  await messages.next();
  expect(running).toBe(2);
  const next = messages.next().catch(() => undefined);
  caller.abort();
  await next;
  expect(running).toBe(0);
});

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
