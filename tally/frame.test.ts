import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { beforeEach, describe, expect, test } from "vitest";
import { ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import type { RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";
import { GetTallyResponseSchema, WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { AuditView } from "./audit-board.ts";
import { noAudit } from "./audit-board.ts";
import { CountBook } from "./count-book.ts";
import { Frame } from "./frame.ts";
import { ballotFor, CLOSED, cell, countsMessage, leaf, OPEN, sampleShape } from "./sample-election.ts";

let book: CountBook;

beforeEach(() => {
  book = new CountBook([0, 1]);
});

function vote(results: ResultsVisibility = ResultsVisibility.LIVE): void {
  book.define(sampleShape({ results }));
  const onShard0 = [
    ...ballotFor(leaf.hill, cell.ada),
    ...ballotFor(leaf.east, cell.ada),
    ...ballotFor(leaf.east, cell.ben),
  ];
  book.fold(0, countsMessage({ from: 1, through: 7, state: OPEN, deltas: onShard0 }));
  const onShard1 = [...ballotFor(leaf.west, cell.ben), ...ballotFor(leaf.coast, cell.mayorUndervotes)];
  book.fold(1, countsMessage({ from: 1, through: 3, state: OPEN, deltas: onShard1 }));
}

function frameNow(audit: AuditView = noAudit): Frame {
  const missing = [{ shardId: 1, sinceMs: 1_234 }];
  return new Frame({ incarnation: 42n, number: 7n, asOfMs: 5_678, book: book.snapshot(), missing, audit });
}

/** Ballots, then by contest the options' counts and the undervotes. */
function numbers(tally: RegionTally | undefined): unknown[] {
  const contests = tally?.contests.map(({ contestId, options, undervotes }) => [
    contestId,
    ...options.map(({ count }) => count),
    undervotes,
  ]);
  return [tally?.ballots, ...(contests ?? [])];
}

test("a cut names its frame, its time, the batch that each shard reaches, and who is missing since when (I7)", () => {
  vote();
  const cut = frameNow().cut("mayor");
  expect(cut.frame).toMatchObject({ incarnation: 42n, number: 7n });
  expect(cut.asOf && timestampMs(cut.asOf)).toBe(5_678);
  expect(cut.vector.map(({ shardId, batch }) => [shardId, batch])).toEqual([
    [0, 7n],
    [1, 3n],
  ]);
  expect(cut.missing.map(({ shardId, since }) => [shardId, since && timestampMs(since)])).toEqual([[1, 1_234]]);
  expect(cut).toMatchObject({ final: false, sealed: false, state: OPEN });
});

describe("what was audited", () => {
  const auditOf = (change: Partial<AuditView>): AuditView => ({ ...noAudit, ...change });
  const verifiedIn = (frame: Frame) =>
    frame.cut("mayor").verifiedThrough.map(({ shardId, batch }) => [shardId, Number(batch)]);

  test("is absent where no auditor follows", () => {
    vote();
    const cut = frameNow().cut("mayor");
    expect(cut).toMatchObject({ verifiedThrough: [], auditFindings: [] });
    expect(cut.auditSilentSince).toBeUndefined();
  });

  test("never reaches beyond the counts that are shown, and names no shard that was not read (I7)", () => {
    vote();
    const verified = new Map([
      [0, 5n],
      [1, 900n],
      [2, 4n],
    ]);
    expect(verifiedIn(frameNow(auditOf({ verified })))).toEqual([
      [0, 5],
      [1, 3],
    ]);
  });

  test("is marked with the time of the last report once no auditor is heard, and findings stay", () => {
    vote();
    const audit = auditOf({ verified: new Map([[0, 5n]]), findings: ["shard 0: leaf 3"], silentSinceMs: 4_321 });
    const cut = frameNow(audit).cut("mayor");
    expect(cut.auditFindings).toEqual(["shard 0: leaf 3"]);
    expect(cut.auditSilentSince && timestampMs(cut.auditSilentSince)).toBe(4_321);
    expect(verifiedIn(frameNow(audit))).toEqual([[0, 5]]);
  });
});

test("a region's counts are the sums of its leaves over all shards, and its children add up to it", () => {
  vote();
  const { region, children } = frameNow().tally("mayor", "north");
  expect(numbers(region)).toEqual([4n, ["mayor", 2n, 2n, 0n], ["bridge", 0n, 0n, 4n]]);
  expect(children.map(({ regionId }) => regionId)).toEqual(["north/hill", "north/town"]);
  expect(numbers(children[0])).toEqual([1n, ["mayor", 1n, 0n, 0n], ["bridge", 0n, 0n, 1n]]);
  expect(numbers(children[1])).toEqual([3n, ["mayor", 1n, 2n, 0n], ["bridge", 0n, 0n, 3n]]);
});

test("without a region the root is meant; a contest shows only where it is on the ballot", () => {
  vote();
  const { region, children } = frameNow().tally("mayor", "");
  expect(numbers(region)).toEqual([5n, ["mayor", 2n, 2n, 1n], ["bridge", 0n, 0n, 4n]]);
  expect(numbers(children[1])).toEqual([1n, ["mayor", 0n, 0n, 1n]]);
});

test("a leaf has no children", () => {
  vote();
  expect(frameNow().tally("mayor", "south/coast").children).toEqual([]);
});

test("eligible voters are shown where they are known and absent elsewhere", () => {
  vote();
  const frame = frameNow();
  expect(frame.tally("mayor", "north").region?.eligibleVoters).toBe(600n);
  expect(frame.tally("mayor", "").region).not.toHaveProperty("eligibleVoters");
});

describe.each([
  ["sealed", ResultsVisibility.SEALED],
  ["of unspecified visibility", ResultsVisibility.UNSPECIFIED],
])("an election that is %s", (_name, results) => {
  test("shows ballots only until every shard has closed it, and everything after that", () => {
    vote(results);
    const before = frameNow().tally("mayor", "");
    expect(before.cut).toMatchObject({ sealed: true, final: false });
    expect(numbers(before.region)).toEqual([5n]);
    expect(before.children.map(numbers)).toEqual([[4n], [1n]]);
    book.fold(0, countsMessage({ from: 8, state: CLOSED }));
    expect(frameNow().cut("mayor").sealed).toBe(true);
    book.fold(1, countsMessage({ from: 4, state: CLOSED }));
    const after = frameNow().tally("mayor", "");
    expect(after.cut).toMatchObject({ sealed: false, final: true, state: CLOSED });
    expect(numbers(after.region)).toEqual([5n, ["mayor", 2n, 2n, 1n], ["bridge", 0n, 0n, 4n]]);
  });
});

test("a frame shows what was folded when it was made, though it is asked later", () => {
  vote();
  const frame = frameNow();
  book.fold(0, countsMessage({ from: 8, deltas: ballotFor(leaf.hill, cell.ada) }));
  expect(frame.tally("mayor", "").region?.ballots).toBe(5n);
});

test("a region's tally is computed once and encoded once, and its bytes are those of both responses", () => {
  vote();
  const frame = frameNow();
  const tally = frame.tally("mayor", "north");
  expect(frame.tally("mayor", "north")).toBe(tally);
  const encoded = frame.encodedTally("mayor", "north");
  expect(frame.encodedTally("mayor", "north")).toBe(encoded);
  expect(Buffer.from(encoded.bytes)).toEqual(Buffer.from(toBinary(GetTallyResponseSchema, tally)));
  const { $typeName, ...content } = tally;
  expect(fromBinary(WatchTallyResponseSchema, encoded.bytes)).toMatchObject(content);
});

test("an unknown election and an unknown region are refused by name", () => {
  vote();
  const frame = frameNow();
  expect(() => frame.tally("other", "")).toThrow(expect.objectContaining({ reason: "UNKNOWN_ELECTION" }));
  expect(() => frame.tally("mayor", "north/moon")).toThrow(
    expect.objectContaining({ reason: "NOT_FOUND", message: expect.stringContaining("north/moon") }),
  );
});
