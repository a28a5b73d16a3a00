import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { rejectionMessage } from "#mesh/rejection-status.ts";
import { CastVoteBatchResponseSchema } from "#proto/generated/urna/v1/vote_service_pb.js";
import { formatReceiptId } from "#proto/receipt-id.ts";
import { RejectionError } from "#proto/rejections.ts";
import { BatchAnswer } from "./batch-answer.ts";

const logs = [0, 1, 16_383].map((shardId) => ({ origin: `test/shard/${shardId}`, shardId }));
const rejections = [
  new RejectionError("ALREADY_VOTED"),
  new RejectionError("OVERLOADED"),
  new RejectionError("INVALID_BALLOT", "zoë"),
  new RejectionError("INVALID_BALLOT", "x".repeat(300)),
];

const accepted = fc.record({
  electionId: fc.constantFrom("e", "another-election", "x".repeat(64)),
  log: fc.constantFrom(...logs),
  leafIndex: fc.oneof(fc.nat(200), fc.nat(), fc.maxSafeNat()),
  repeat: fc.boolean(),
});
const outcomes = fc.array(fc.oneof(accepted, fc.constantFrom(...rejections)), { minLength: 1, maxLength: 40 });

test("a response has the very bytes that protobuf-es writes, in whatever order its votes were settled", () => {
  fc.assert(
    fc.property(outcomes, fc.infiniteStream(fc.nat()), (settled, order) => {
      const answer = new BatchAnswer(settled.length);
      const left = [...settled.keys()];
      while (left.length > 0) {
        expect(answer.isComplete).toBe(false);
        const [index = 0] = left.splice((order.next().value ?? 0) % left.length, 1);
        const outcome = settled[index];
        expect(answer.isSettled(index)).toBe(false);
        if (outcome instanceof RejectionError) answer.refused(index, outcome);
        else if (outcome !== undefined) {
          answer.accepted(index, outcome.electionId, outcome.log, outcome.leafIndex, outcome.repeat);
        }
      }
      expect(answer.isComplete).toBe(true);
      const message = create(CastVoteBatchResponseSchema, { outcomes: settled.map(messageOf) });
      expect(answer.encode().equals(toBinary(CastVoteBatchResponseSchema, message))).toBe(true);
    }),
  );
});

function messageOf(outcome: RejectionError | (typeof accepted extends fc.Arbitrary<infer A> ? A : never)) {
  if (outcome instanceof RejectionError) {
    return { result: { case: "rejection" as const, value: rejectionMessage(outcome) } };
  }
  const { electionId, log, repeat } = outcome;
  const leafIndex = BigInt(outcome.leafIndex);
  const receiptId = formatReceiptId({ shardId: log.shardId, leafIndex });
  const value = { receiptId, electionId, logOrigin: log.origin, leafIndex };
  return { result: { case: "receipt" as const, value }, repeat };
}

test("a vote that is settled twice, and an answer before the last vote, are faults (I4)", () => {
  const answer = new BatchAnswer(2);
  answer.refused(0, new RejectionError("OVERLOADED"));
  expect(() => answer.refused(0, new RejectionError("OVERLOADED"))).toThrow("I4");
  expect(() => answer.encode()).toThrow("I4");
});

test("outcomes are counted by what became of the votes", () => {
  const answer = new BatchAnswer(5);
  const [log] = logs;
  if (log === undefined) throw new Error("there are logs");
  answer.accepted(0, "e", log, 1, false);
  answer.accepted(1, "e", log, 2, true);
  answer.accepted(2, "e", log, 3, false);
  answer.refused(3, new RejectionError("INVALID_BALLOT", "one"));
  answer.refused(4, new RejectionError("OVERLOADED"));
  expect([...answer.counts()]).toEqual([
    ["recorded", 2],
    ["repeat", 1],
    ["INVALID_BALLOT", 1],
    ["OVERLOADED", 1],
  ]);
});
