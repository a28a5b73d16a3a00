import { expect, test } from "vitest";
import type { RecordVotesRequest } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { frameVotesMax } from "#proto/limits.ts";
import { bytes16, cell, leaf, outcomeNames, sampleFrame, sampleRequest } from "./sample-election.ts";
import { leaveUnknown, settleExpired, WaitingFrame } from "./vote-frame.ts";

const three = [
  { voter: "a", key: "k", cells: [cell.ada, cell.park] },
  { voter: "b", cells: [], region: leaf.coast, deadlineMs: 20 },
  { voter: "c", key: "l", cells: [cell.ben] },
];

test("each vote of a frame is read from its own place in every column", () => {
  const { frame } = sampleFrame("e", three);
  const read = frame.votes.map((vote) => ({
    nullifier: vote.nullifier,
    keyHash: vote.keyHash,
    ballot: [...vote.ballot],
    region: vote.region,
    deadlineAtMs: vote.deadlineAtMs,
  }));
  expect(read).toEqual([
    { nullifier: bytes16("a"), keyHash: bytes16("k"), ballot: [0, 1, 0, 4], region: 0, deadlineAtMs: 1_000 },
    { nullifier: bytes16("b"), keyHash: Buffer.alloc(16), ballot: [], region: 1, deadlineAtMs: 20 },
    { nullifier: bytes16("c"), keyHash: bytes16("l"), ballot: [0, 2], region: 0, deadlineAtMs: 1_000 },
  ]);
});

test("a frame is answered once, when its last vote is settled, with every outcome in its place (I4)", () => {
  const { frame, answers } = sampleFrame("e", three);
  frame.votes[2]?.settle({ outcome: RecordOutcome.REPEAT, leafIndex: 5, batch: 2 });
  frame.votes[0]?.settle({ outcome: RecordOutcome.RECORDED, leafIndex: 9, batch: 3 });
  expect(answers).toEqual([]);
  frame.votes[1]?.settle({ outcome: RecordOutcome.CLOSED });
  expect(answers).toHaveLength(1);
  expect(answers[0]).toMatchObject({
    frameId: 7,
    leafIndexes: Float64Array.of(9, 0, 5),
    batches: Float64Array.of(3, 0, 2),
    logOrigin: "urna/shard/0",
  });
  expect(outcomeNames(answers[0])).toEqual(["RECORDED", "CLOSED", "REPEAT"]);
});

test("to settle a vote twice is a fault of the program, and never a second answer (I4)", () => {
  const { frame, answers } = sampleFrame("e", three.slice(0, 1));
  frame.votes[0]?.settle({ outcome: RecordOutcome.CLOSED });
  expect(() => frame.votes[0]?.settle({ outcome: RecordOutcome.RECORDED, leafIndex: 1, batch: 1 })).toThrow("I4");
  expect(answers).toHaveLength(1);
  expect(outcomeNames(answers[0])).toEqual(["CLOSED"]);
});

test("votes past their deadline are settled and go no further (I4)", () => {
  const { frame, answers } = sampleFrame("e", three);
  const live = settleExpired(frame.votes, 20);
  expect(live.map(({ index }) => index)).toEqual([0, 2]);
  expect(frame.votes.map(({ settled }) => settled)).toEqual([false, true, false]);
  expect(settleExpired(live, 999)).toEqual(live);
  expect(settleExpired(live, 1_000)).toEqual([]);
  expect(outcomeNames(answers[0])).toEqual(["DEADLINE_PASSED", "DEADLINE_PASSED", "DEADLINE_PASSED"]);
});

test("what is left when a writer ends is unknown; what is settled stays as it is (I4)", () => {
  const { frame, answers } = sampleFrame("e", three);
  frame.votes[1]?.settle({ outcome: RecordOutcome.RECORDED, leafIndex: 9, batch: 3 });
  leaveUnknown(frame.votes);
  leaveUnknown(frame.votes);
  expect(outcomeNames(answers[0])).toEqual(["UNKNOWN", "RECORDED", "UNKNOWN"]);
});

const misfits: Record<string, Partial<RecordVotesRequest>> = {
  "no votes": { regions: [] },
  "a nullifier cut short": { nullifiers: Buffer.alloc(47) },
  "one nullifier too many": { nullifiers: Buffer.alloc(64) },
  "a key hash missing": { keyHashes: Buffer.alloc(32) },
  "a region missing": { regions: [0, 0] },
  "a ballot length missing": { ballotLengths: [4, 2] },
  "ballots longer than their lengths": { ballots: Buffer.alloc(7) },
  "lengths beyond the ballots": { ballotLengths: [4, 0, 4_000_000_000] },
  "a deadline missing": { deadlineMs: [1, 1] },
};

for (const [name, change] of Object.entries(misfits)) {
  test(`a frame with ${name} is refused whole`, () => {
    const request = Object.assign(sampleRequest("e", three), change);
    expect(() => new WaitingFrame(request, "o", 0, () => {})).toThrow(
      expect.objectContaining({ reason: "INVALID_REQUEST" }),
    );
  });
}

test("a frame holds as many votes as the limit says, and not one more (I9)", () => {
  const votes = Array.from({ length: frameVotesMax + 1 }, () => ({ voter: "v" }));
  expect(sampleFrame("e", votes.slice(1)).frame.votes).toHaveLength(frameVotesMax);
  expect(() => sampleFrame("e", votes)).toThrow(expect.objectContaining({ reason: "INVALID_REQUEST" }));
});
