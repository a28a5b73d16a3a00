import { setImmediate as turn } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import type { EncodedMessage } from "#mesh/service-call.ts";
import type { RecordVotesRequest, RecordVotesResponse } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome, RecordVotesResponseSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { type SlotRange, slotOf } from "#proto/slots.ts";
import { ShardMetrics } from "./metrics.ts";
import { bytes16, outcomeNames, sampleHead, sampleRequest } from "./sample-election.ts";
import { SlotOwnership } from "./slot-ownership.ts";
import type { WaitingVote } from "./vote-frame.ts";
import { recordVotes } from "./vote-intake.ts";

const allSlots: SlotRange = [0, 16_383];
const none = (): WaitingVote[] => [];

/** A writer that keeps what it is offered until the test settles it, and a call to it. */
function intake(
  requests: AsyncIterable<RecordVotesRequest>,
  { takes = true, draining = false, slots = [allSlots], taken = none() } = {},
) {
  const offer = (votes: readonly WaitingVote[]) => {
    if (takes) taken.push(...votes);
    return takes;
  };
  const [ended, gone] = [new AbortController(), new AbortController()];
  const writer = { head: sampleHead, ownership: SlotOwnership.of(slots), offer, draining };
  const node = { requireWriter: () => ({ writer, ended: ended.signal }) };
  const call = { signal: gone.signal, deadlineMs: undefined, peer: undefined, header: () => undefined };
  const answers = decoded(recordVotes(node, new ShardMetrics(new Registry()), requests, call));
  return { taken, ended, gone, answers };
}

async function* decoded(messages: AsyncGenerator<EncodedMessage>): AsyncGenerator<RecordVotesResponse> {
  for await (const { bytes } of messages) yield fromBinary(RecordVotesResponseSchema, bytes);
}

async function* frames(...voters: string[]): AsyncGenerator<RecordVotesRequest> {
  for (const [i, voter] of voters.entries()) yield sampleRequest("e", [{ voter }], BigInt(i));
}

const recorded = { outcome: RecordOutcome.RECORDED, leafIndex: 1, batch: 1 } as const;

test("frames are answered in the order in which they are settled; the stream ends when all are (I4)", async () => {
  const { taken, answers } = intake(frames("a", "b"));
  const first = answers.next();
  await turn();
  taken[1]?.settle(recorded);
  expect((await first).value).toMatchObject({ frameId: 1n, logOrigin: "urna/shard/0" });
  const second = answers.next();
  taken[0]?.settle(recorded);
  expect((await second).value).toMatchObject({ frameId: 0n });
  expect((await answers.next()).done).toBe(true);
});

test("when the writer is the writer no more, what was settled is answered first, then the stream says so (I4, I6)", async () => {
  const { taken, ended, answers } = intake(frames("a", "b"));
  const first = answers.next();
  await turn();
  taken[0]?.settle(recorded);
  ended.abort();
  expect(outcomeNames((await first).value ?? undefined)).toEqual(["RECORDED"]);
  await expect(answers.next()).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
});

test("a frame that cannot be read ends the stream; the frames before it are answered as far as they are settled", async () => {
  const taken: WaitingVote[] = [];
  async function* withMisfit() {
    yield* frames("a", "b");
    taken[0]?.settle(recorded);
    yield Object.assign(sampleRequest("e", [{ voter: "c" }]), { regions: [] });
  }
  const { answers } = intake(withMisfit(), { taken });
  expect((await answers.next()).value).toMatchObject({ frameId: 0n });
  await expect(answers.next()).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
});

test("what a full writer does not take is OVERLOADED at once (I9)", async () => {
  const { answers } = intake(frames("a"), { takes: false });
  expect(outcomeNames((await answers.next()).value ?? undefined)).toEqual(["OVERLOADED"]);
});

test("what a writer that ends does not take is UNKNOWN: the router sends it to the next one, and no caller hears of it (I4)", async () => {
  const { answers } = intake(frames("a"), { takes: false, draining: true });
  expect(outcomeNames((await answers.next()).value ?? undefined)).toEqual(["UNKNOWN"]);
});

test("votes of slots that this shard does not own are refused one by one; the others are taken (I6)", async () => {
  const slot = slotOf(bytes16("mine"));
  const votes = ["mine", "other", "mine"].map((voter) => ({ voter }));
  async function* one() {
    yield sampleRequest("e", votes);
  }
  const { taken, answers } = intake(one(), { slots: [[slot, slot]] });
  const first = answers.next();
  await turn();
  expect(taken.map(({ index }) => index)).toEqual([0, 2]);
  for (const vote of taken) vote.settle(recorded);
  expect(outcomeNames((await first).value ?? undefined)).toEqual(["RECORDED", "WRONG_SHARD", "RECORDED"]);
});

test("a router that takes no answers is read no further, until it does (I9)", async () => {
  let read = 0;
  async function* endless() {
    for (;;) {
      read += 1;
      yield sampleRequest("e", [{ voter: "v" }]);
    }
  }
  const settle = async () => {
    for (let before = -1; before !== read; ) {
      before = read;
      await turn();
    }
    return read;
  };
  const { answers, gone } = intake(endless(), { takes: false });
  await answers.next();
  const stuckAt = await settle();
  expect(stuckAt).toBeLessThan(1_000);
  for (let i = 0; i < 600; i++) await answers.next();
  expect(await settle()).toBeGreaterThan(stuckAt);
  gone.abort();
  await answers.return(undefined);
});

test("a spare refuses the stream (I6)", async () => {
  const refuse = () => {
    throw new RejectionError("SHARD_UNAVAILABLE");
  };
  const call = {
    signal: new AbortController().signal,
    deadlineMs: undefined,
    peer: undefined,
    header: () => undefined,
  };
  const answers = recordVotes({ requireWriter: refuse }, new ShardMetrics(new Registry()), frames("a"), call);
  await expect(answers.next()).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
});
