import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RecordVotesRequestSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { inNullifierOrder, sameVoter } from "./nullifier-order.ts";
import { sampleRequest } from "./sample-election.ts";
import { WaitingFrame, type WaitingVote } from "./vote-frame.ts";

/** Votes with exactly these nullifiers, over two frames. */
function votesOf(nullifiers: readonly Uint8Array[]): WaitingVote[] {
  const half = Math.ceil(nullifiers.length / 2);
  return [nullifiers.slice(0, half), nullifiers.slice(half)].flatMap((part) => {
    if (part.length === 0) return [];
    const request = sampleRequest(
      "e",
      part.map(() => ({ voter: "v" })),
    );
    const columns = create(RecordVotesRequestSchema, { ...request, nullifiers: Buffer.concat(part) });
    return [...new WaitingFrame(columns, "urna/shard/0", 0, () => {}).votes];
  });
}

/** Alike in their first bytes more often than chance would have it, and sometimes altogether. */
const nullifier = fc
  .tuple(fc.constantFrom(0, 0xff), fc.uint8Array({ minLength: 15, maxLength: 15, max: 2 }))
  .map(([first, rest]) => Uint8Array.from([first, ...rest]));

test("votes are sorted by all 16 bytes, and those of one voter keep their order of arrival (I2)", () => {
  fc.assert(
    fc.property(fc.array(nullifier, { maxLength: 60 }), (nullifiers) => {
      const votes = votesOf(nullifiers);
      const expected = votes.toSorted((a, b) => a.nullifier.compare(b.nullifier));
      expect(inNullifierOrder(votes)).toEqual(expected);
      for (const [i, vote] of expected.entries()) {
        const before = expected[i - 1];
        if (before !== undefined) expect(sameVoter(before, vote)).toBe(before.nullifier.equals(vote.nullifier));
      }
    }),
  );
});
