/** Every hop is told less time than the one before it had (design, "Deadlines"). */
import { expect, test } from "vitest";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { CallContext } from "#mesh/service-call.ts";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { answerMarginMs, deadlineDefaultMs } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import { shardOf, startHarness, vote } from "./router-harness.ts";

test("a vote's deadline shrinks from the caller to the router to the shard", async () => {
  const harness = await startHarness();
  try {
    await harness.votes.castVote({ vote: vote("first") });
    await harness.votes.castVote({ vote: vote("v") }, { deadlineMs: 8_000 });
    const [, second] = shardOf(harness).frames;
    const [left] = second?.deadlineMs ?? [];
    expect(left).toBeLessThanOrEqual(8_000 - answerMarginMs(8_000) - 5);
    expect(left).toBeGreaterThan(2_000);
  } finally {
    await harness.close();
  }
});

test("the tally is told less than the router's caller left, and never nothing", async () => {
  const told: (number | undefined)[] = [];
  const note = (call: CallContext) => {
    told.push(call.deadlineMs);
    throw new RejectionError("NOT_FOUND");
  };
  const tally = new GrpcServer([
    bind(TallyService, {
      getTally: async (_request, call) => note(call),
      // biome-ignore lint/correctness/useYield: it refuses before its first message.
      async *getTallyTable(_request, call) {
        note(call);
      },
      // biome-ignore lint/correctness/useYield: it refuses before its first message.
      async *recount(_request, call) {
        note(call);
      },
      // biome-ignore lint/correctness/useYield: it refuses before its first message.
      async *watchTally(_request, call) {
        note(call);
      },
    }),
  ]);
  const { port } = await tally.listen("127.0.0.1:0");
  const harness = await startHarness({ tally: `127.0.0.1:${port}` });
  const client = createClient(TallyService, `127.0.0.1:${harness.router.grpc.port}`);
  try {
    const request = { electionId: "e", regionId: "" };
    await client.getTally(request, { deadlineMs: 8_000 }).catch(() => {});
    await client.getTally(request).catch(() => {});
    const read = async () => {
      for await (const _ of client.recount({ electionId: "e" }, { deadlineMs: 8_000 }));
    };
    await read().catch(() => {});
    const [unary = 0, withoutDeadline = 0, stream = 0] = told;
    for (const left of [unary, stream]) {
      expect(left).toBeLessThanOrEqual(8_000 - answerMarginMs(8_000));
      expect(left).toBeGreaterThan(2_000);
    }
    expect(withoutDeadline).toBeLessThanOrEqual(deadlineDefaultMs);
    expect(withoutDeadline).toBeGreaterThan(2_000);
  } finally {
    client.close();
    await harness.close();
    await tally.close(0);
  }
});
