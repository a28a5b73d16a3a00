/** Votes that a shard sends back: they go on when the shard does, and take no room of others while it does not. */
import { afterEach, expect, test, vi } from "vitest";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { Harness } from "./router-harness.ts";
import { shardOf, startHarness, vote } from "./router-harness.ts";
import { answerAll, answerEach, recordAll } from "./scripted-shard.ts";

vi.setConfig({ testTimeout: 60_000 });

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof startHarness>[0]): Promise<Harness> {
  const harness = await startHarness(options);
  closers.push(() => harness.close());
  await harness.votes.castVote({ vote: vote("first") });
  return harness;
}

/** A shard that sends everything back for long is taken out of service as a rule; not here. */
const inService = { failedLooksMax: 10_000 };

test("votes that came back in many small frames are sent together, each after no more than its own pause", async () => {
  const harness = await start({ limits: inService });
  const shard = shardOf(harness);
  let arrived = Promise.withResolvers<void>();
  // As a writer does that ends.
  shard.script = (frame) => {
    arrived.resolve();
    return answerAll(frame, shard, RecordOutcome.UNKNOWN);
  };
  const casts: Promise<unknown>[] = [];
  for (let n = 0; n < 500; n++) {
    arrived = Promise.withResolvers();
    casts.push(harness.votes.castVote({ vote: vote(`v${n}`) }, { deadlineMs: 50_000 }));
    await arrived.promise;
  }
  shard.script = recordAll;
  const framesBefore = shard.frames.length;
  await Promise.all(casts);
  // One frame each they would be hundreds, four at a time.
  expect(shard.frames.length - framesBefore).toBeLessThan(60);
});

test("a shard that sends every vote back has no more than its share of the router (I9)", async () => {
  const harness = await start({ shardCount: 2, limits: { ...inService, votesMax: 100 } });
  const returned = new Set<string>();
  shardOf(harness, 1).script = (frame, shard) =>
    answerEach(frame, shard, (_, nullifier) => {
      returned.add(nullifier.toString("hex"));
      return RecordOutcome.UNKNOWN;
    });
  const settled: string[] = [];
  const casts: Promise<unknown>[] = [];
  let heldMax = 0;
  for (let n = 1; n <= 240; n++) {
    const cast = harness.votes.castVote({ vote: vote(`v${n}`) }, { deadlineMs: 20_000 });
    casts.push(cast.then(() => settled.push("recorded")).catch((cause) => settled.push(cause.reason)));
    await expect.poll(() => settled.length + returned.size, { interval: 1 }).toBeGreaterThanOrEqual(n);
    heldMax = Math.max(heldMax, harness.router.heldVotes());
  }
  expect(heldMax).toBeLessThanOrEqual(51);
  expect(settled).toContain("recorded");
  expect(settled).toContain("OVERLOADED");
  await harness.router.drain();
  await Promise.all(casts);
});
