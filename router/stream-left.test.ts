/** Streams that end before their votes are settled, over bare HTTP/2. */
import type { ClientHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, expect, test } from "vitest";
import { framed, RawGrpc } from "#bench/raw-grpc.ts";
import { CastVotesRequestSchema } from "#proto/generated/urna/v1/vote_service_pb.js";
import { startHarness, vote } from "./router-harness.ts";
import { recordAll } from "./scripted-shard.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const ends: [how: string, end: (stream: ClientHttp2Stream) => void][] = [
  ["is cancelled", (stream) => stream.close(constants.NGHTTP2_CANCEL)],
  ["goes on with garbage", (stream) => stream.end(framed(Buffer.alloc(8, 0xff)))],
  ["is cut off with its connection", (stream) => stream.session?.destroy()],
];

for (const [how, end] of ends) {
  test(`a stream that ${how} while its votes are unsettled ends neither the router nor the votes (I4)`, async () => {
    // A rejection that nobody hears ends a router's process.
    const unheard: unknown[] = [];
    const hear = (cause: unknown) => unheard.push(cause);
    process.on("unhandledRejection", hear);
    closers.push(() => void process.off("unhandledRejection", hear));
    const harness = await startHarness();
    closers.push(() => harness.close());
    const [shard] = harness.shards;
    if (shard === undefined) throw new Error("the harness has no shard");
    const left = Promise.withResolvers<void>();
    shard.script = async (frame) => {
      await left.promise;
      return recordAll(frame, shard);
    };
    const stream = new RawGrpc(`127.0.0.1:${harness.router.grpc.port}`).open("VoteService/CastVotes");
    const gone = new Promise((resolve) => stream.once("close", resolve));
    stream.resume();
    for (let i = 0; i < 10; i++) {
      const message = create(CastVotesRequestSchema, { sequence: BigInt(i), vote: vote(`v${i}`) });
      stream.write(framed(toBinary(CastVotesRequestSchema, message)));
    }
    await expect.poll(() => harness.router.heldVotes()).toBe(10);
    end(stream);
    await gone;
    const next = harness.votes.castVote({ vote: vote("next") });
    await expect.poll(() => harness.router.heldVotes()).toBe(11);
    left.resolve();
    expect(await next).toMatchObject({ repeat: false });
    await expect.poll(() => harness.router.heldVotes()).toBe(0);
    expect(unheard).toEqual([]);
  });
}

test("a stream that has lasted long enough settles its votes and ends as retryable, before its connection is cut", async () => {
  const harness = await startHarness({ limits: { streamAgeMs: 300 } });
  closers.push(() => harness.close());
  const stream = harness.votes.castVotes();
  const settled: (bigint | undefined)[] = [];
  const read = async () => {
    for await (const { sequence } of stream.responses) settled.push(sequence);
  };
  const reading = read().catch((cause: unknown) => cause);
  for (let sequence = 1n; sequence <= 20n; sequence++) stream.send({ sequence, vote: vote(`v${sequence}`) });
  expect(await reading).toMatchObject({
    reason: "SHARD_UNAVAILABLE",
    message: expect.stringContaining("open another"),
  });
  expect(settled).toHaveLength(20);
});
