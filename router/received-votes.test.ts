import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CastVoteBatchRequestSchema } from "#proto/generated/urna/v1/vote_service_pb.js";
import { batchRequestVotesMax, idempotencyKeyBytesMax } from "#proto/limits.ts";
import { BatchRequests } from "./batch-request.ts";
import type { ReceivedVotes } from "./received-votes.ts";

const key = new Uint8Array(idempotencyKeyBytesMax).fill(7);

function request({ votes = 1, idempotencyKey = key, options = 1 } = {}): Buffer {
  const optionIds = Array.from({ length: options }, () => "");
  const vote = {
    electionId: "e",
    voter: { case: "voterId" as const, value: "v" },
    regionId: "r",
    idempotencyKey,
    selections: [{ contestId: "c", optionIds }],
  };
  const batch = create(CastVoteBatchRequestSchema, { votes: Array.from({ length: votes }, () => vote) });
  return Buffer.from(toBinary(CastVoteBatchRequestSchema, batch));
}

/** Field 15, which no request has: protobuf-es reads the whole of it. */
const unknownField = Buffer.of(0x78, 1);

function columnBytes(votes: ReceivedVotes): number {
  const { voterKinds, voterStarts, voterEnds, keyStarts, keyLengths, selectionEnds, weights, bytes } = votes;
  const columns = [voterKinds, voterStarts, voterEnds, keyStarts, keyLengths, selectionEnds, weights, bytes];
  return columns.reduce((sum, column) => sum + column.buffer.byteLength, 0);
}

for (const [how, bytes] of [
  ["as protobuf libraries write it", request()],
  ["with a field that nobody knows", Buffer.concat([request(), unknownField])],
] as const) {
  test(`a call of one vote ${how} holds no more than it weighs while its election is looked up (I9)`, () => {
    const chunk = Buffer.alloc(65_536);
    const votes = new BatchRequests().read(chunk.subarray(9, 9 + bytes.copy(chunk, 9)));
    const [start, end] = [votes.voterStarts[0] ?? 0, votes.voterEnds[0] ?? 0];
    votes.keep();
    votes.keep();
    expect(columnBytes(votes)).toBeLessThan(votes.weights[0] ?? 0);
    expect(Buffer.from(votes.bytes.subarray(start, end)).toString()).toBe("v");
    expect(new Uint8Array(votes.bytes.subarray(votes.keyStarts[0] ?? 0)).subarray(0, key.length)).toEqual(key);
  });
}

test("what is kept is not filled again, and the next call finds all its room", () => {
  const requests = new BatchRequests();
  const kept = requests.read(request());
  kept.keep();
  expect(requests.read(request({ votes: batchRequestVotesMax })).length).toBe(batchRequestVotesMax);
  expect(kept.length).toBe(1);
});

test("a vote weighs at least its bytes, however it is made: a key that is far too long, options without a name (I9)", () => {
  const requests = new BatchRequests();
  for (const bytes of [request({ idempotencyKey: new Uint8Array(1_000_000) }), request({ options: 500_000 })]) {
    expect(requests.read(bytes).weights[0]).toBeGreaterThan(bytes.length);
  }
});
