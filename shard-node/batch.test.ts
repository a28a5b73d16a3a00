import { expect, test } from "vitest";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { type SealedBatch, sealEmpty, sealVotes } from "./batch.ts";
import type { SampleVote } from "./sample-election.ts";
import { answersOf, bytes16, cell, leaf, sampleBook, sampleEnd, sampleFrame } from "./sample-election.ts";
import type { WaitingVote } from "./vote-frame.ts";
import type { ExistingVote } from "./vote-lookup.ts";

const { CREATED, OPEN, CLOSED } = ElectionState;

/** A frame of the election "e" in one batch; who has voted before is said vote by vote. */
function seal(votes: readonly SampleVote[], state = OPEN, known: ReadonlyMap<number, ExistingVote> = new Map()) {
  const { frame } = sampleFrame("e", votes);
  const existing = new Map<WaitingVote, ExistingVote>();
  for (const [index, found] of known) {
    const vote = frame.votes[index];
    if (vote !== undefined) existing.set(vote, found);
  }
  return sealVotes(sampleEnd, 9_000, sampleBook({ e: state }), frame.votes, existing);
}

/** Outcomes in the order of the frame. */
function outcomes(batch: SealedBatch): unknown[] {
  const byVote = answersOf(batch).sort(([a], [b]) => a.index - b.index);
  return byVote.map(([, settlement]) => RecordOutcome[settlement.outcome]);
}

function stored(vote: SampleVote, leafIndex: number): ExistingVote {
  const [only] = sampleFrame("e", [vote]).frame.votes;
  if (only === undefined) throw new Error("the sample has one vote");
  const { keyHash, region, ballot } = only;
  return { keyHash, region, ballot, leafIndex, batch: 5 };
}

const first: SampleVote = { voter: "v", key: "k", cells: [cell.ada] };

for (const [name, state] of [
  ["open", OPEN],
  ["closed", CLOSED],
] as const) {
  test(`the same vote again gets its original receipt while the election is ${name} (I3)`, () => {
    const batch = seal([first], state, new Map([[0, stored(first, 42)]]));
    expect(answersOf(batch).map(([, settlement]) => settlement)).toEqual([
      { outcome: RecordOutcome.REPEAT, leafIndex: 42, batch: 5 },
    ]);
    expect(batch.newVoteCount).toBe(0);
  });
}

for (const [name, vote] of [
  ["another key", { ...first, key: "other" }],
  ["no key", { voter: "v", cells: [cell.ada] }],
  ["another ballot", { ...first, cells: [cell.ben] }],
  ["another region", { ...first, region: leaf.coast }],
] as const) {
  test(`from somebody who has voted, ${name} is ALREADY_VOTED, also after the close (I3)`, () => {
    const known = new Map([[0, stored(first, 42)]]);
    expect(outcomes(seal([vote], OPEN, known))).toEqual(["ALREADY_VOTED"]);
    expect(outcomes(seal([vote], CLOSED, known))).toEqual(["ALREADY_VOTED"]);
  });
}

test("two votes without a key are never a repeat, however alike (I3)", () => {
  const keyless: SampleVote = { voter: "v", cells: [cell.ada] };
  expect(outcomes(seal([keyless], OPEN, new Map([[0, stored(keyless, 42)]])))).toEqual(["ALREADY_VOTED"]);
  expect(outcomes(seal([keyless, keyless]))).toEqual(["RECORDED", "ALREADY_VOTED"]);
});

test("of one voter's votes in one batch the first wins, and its repeats share its receipt (I2, I3)", () => {
  const batch = seal([first, { ...first, cells: [cell.ben] }, first, { ...first, key: "other" }]);
  expect(outcomes(batch)).toEqual(["RECORDED", "ALREADY_VOTED", "REPEAT", "ALREADY_VOTED"]);
  expect(batch.newVoteCount).toBe(1);
  const receipts = answersOf(batch).flatMap(([, settlement]) => ("leafIndex" in settlement ? [settlement] : []));
  expect(receipts.map(({ leafIndex, batch: number }) => [leafIndex, number])).toEqual([
    [100, 11],
    [100, 11],
  ]);
});

test("a vote that was refused does not stand in the way of the voter's next one (I2)", () => {
  expect(outcomes(seal([{ ...first, cells: [99] }, first]))).toEqual(["INTERNAL", "RECORDED"]);
});

for (const [name, state] of [
  ["NOT_OPEN", CREATED],
  ["CLOSED", CLOSED],
] as const) {
  test(`a new vote of an election in that state is ${name} (I10)`, () => {
    const batch = seal([first], state);
    expect(outcomes(batch)).toEqual([name]);
    expect(batch.newVoteCount).toBe(0);
  });
}

test("a vote of an unknown election, or with another definition's hash, is refused by name", () => {
  const { frame } = sampleFrame("nowhere", [first]);
  expect(outcomes(sealVotes(sampleEnd, 0, sampleBook({ e: OPEN }), frame.votes, new Map()))).toEqual([
    "UNKNOWN_ELECTION",
  ]);
  const { frame: stranger } = sampleFrame("e", [first]);
  Object.assign(stranger, { definitionHash: "another" });
  expect(outcomes(sealVotes(sampleEnd, 0, sampleBook({ e: OPEN }), stranger.votes, new Map()))).toEqual([
    "WRONG_DEFINITION",
  ]);
});

for (const [name, vote] of [
  ["a cell that is no option", { voter: "v", cells: [cell.mayorUndervotes] }],
  ["a cell beyond the last", { voter: "v", cells: [99] }],
  ["an option twice", { voter: "v", cells: [cell.ada, cell.ada] }],
  ["too many selections", { voter: "v", cells: [cell.ada, cell.ben] }],
  ["a contest that is not on the region's ballot", { voter: "v", region: leaf.coast, cells: [cell.park] }],
  ["a region that does not exist", { voter: "v", region: 2 }],
] as const) {
  test(`a ballot with ${name} is never counted: the shard asserts what routers check (I5)`, () => {
    const batch = seal([vote]);
    expect(outcomes(batch)).toEqual(["INTERNAL"]);
    expect(batch.deltas.n).toEqual([]);
  });
}

test("new votes get dense leaf numbers, election by election in nullifier order, whatever order they arrived in", () => {
  const voters = Array.from({ length: 40 }, (_, i) => ({ voter: `v${i}` }));
  const frames = ["f", "e"].map((id) => sampleFrame(id, voters).frame);
  const votes = frames.flatMap((frame) => frame.votes);
  const batch = sealVotes(sampleEnd, 0, sampleBook({ e: OPEN, f: OPEN }), votes, new Map());
  expect(batch.newVotes.map(({ election, firstLeaf }) => [election.id, firstLeaf])).toEqual([
    ["e", 100],
    ["f", 140],
  ]);
  const sorted = voters.map(({ voter }) => bytes16(voter)).sort(Buffer.compare);
  for (const group of batch.newVotes) expect(group.votes.map(({ nullifier }) => nullifier)).toEqual(sorted);
});

test("one voter votes once in each of two elections of one batch (I2)", () => {
  const votes = ["e", "f"].flatMap((id) => sampleFrame(id, [first]).frame.votes);
  const batch = sealVotes(sampleEnd, 0, sampleBook({ e: OPEN, f: OPEN }), votes, new Map());
  expect(batch.newVoteCount).toBe(2);
  expect(batch.newVotes.map(({ election }) => election.id)).toEqual(["e", "f"]);
});

test("count deltas are what the new votes add, undervotes included (I5)", () => {
  const { deltas } = seal([
    { voter: "1", cells: [cell.ada, cell.park, cell.school] },
    { voter: "2", cells: [cell.ada, cell.park] },
    { voter: "3", cells: [], region: leaf.coast },
  ]);
  const counted = deltas.n.map((n, i) => `${deltas.elections[i]}/${deltas.regions[i]}/${deltas.cells[i]}: ${n}`);
  expect(counted.sort()).toEqual(["1/0/0: 2", "1/0/1: 2", "1/0/4: 2", "1/0/6: 1", "1/0/7: 1", "1/1/0: 1", "1/1/3: 1"]);
});

test("a batch follows the head, under an id of its own, and is never stamped earlier than the one before", () => {
  const late = sealEmpty(sampleEnd, 9_000);
  const early = sealEmpty(sampleEnd, 4_000);
  expect(late.identity).toMatchObject({ number: 11, writerEpoch: 4 });
  expect(late.identity.batchId).toHaveLength(16);
  expect(late.identity.batchId).not.toBe(early.identity.batchId);
  expect([late.stampMs, early.stampMs]).toEqual([9_000, 5_000]);
});
