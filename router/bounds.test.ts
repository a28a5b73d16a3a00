/** What happens when there is too much, and when the router stops: nothing grows without bound, nothing stays unanswered. */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { Harness } from "./router-harness.ts";
import { electionId, named, shardOf, startHarness, vote } from "./router-harness.ts";
import { recordAll } from "./scripted-shard.ts";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof startHarness>[0] = {}): Promise<Harness> {
  const harness = await startHarness(options);
  closers.push(() => harness.close());
  return harness;
}

const noAnswer = () => undefined;

test("more votes than the router may hold are refused at once, and say when to come back (I9)", async () => {
  const harness = await start({ limits: { votesMax: 100 } });
  const held = Promise.withResolvers<void>();
  const shard = shardOf(harness);
  shard.script = async (frame) => {
    await held.promise;
    return recordAll(frame, shard);
  };
  const filling = harness.votes.castVoteBatch({ votes: Array.from({ length: 150 }, (_, i) => vote(`v${i}`)) });
  const one = await harness.votes.castVote({ vote: vote("late") }).catch((cause: unknown) => cause);
  expect(one).toMatchObject({ reason: "OVERLOADED", retryAfterMs: expect.any(Number) });
  held.resolve();
  const names = (await filling).outcomes.map(named);
  expect(names.slice(0, 100).every((name) => name === "recorded")).toBe(true);
  expect(names.slice(100).every((name) => name === "OVERLOADED")).toBe(true);
  expect(harness.router.heldVotes()).toBe(0);
  await harness.votes.castVote({ vote: vote("late") });
});

test("votes that are refused after their election was looked up give their room back (I9)", async () => {
  // Five shards: two might get exactly half of the votes each, and refuse none.
  const harness = await start({ shardCount: 5, limits: { votesMax: 100 } });
  const batch = Array.from({ length: 100 }, (_, i) => vote(`v${i}`));
  const first = (await harness.votes.castVoteBatch({ votes: batch })).outcomes.map(named);
  // A shard that was not yet seen to be connected is called away, not overloaded.
  const refused = first.filter((name) => name !== "recorded");
  expect(refused.length).toBeGreaterThan(0);
  for (const name of refused) expect(["OVERLOADED", "SHARD_UNAVAILABLE"]).toContain(name);
  expect(harness.router.heldVotes()).toBe(0);
});

test("a shard that is stuck leaves room for the votes of the others (I9)", async () => {
  const harness = await start({ shardCount: 2, limits: { votesMax: 100 } });
  await harness.votes.castVote({ vote: vote("first") });
  const stuck = shardOf(harness, 1);
  stuck.script = noAnswer;
  const framesBefore = stuck.frames.length;
  const batchOf = (name: string, votes: number) => Array.from({ length: votes }, (_, i) => vote(`${name}-${i}`));
  const held = harness.votes.castVoteBatch({ votes: batchOf("held", 100) }, { deadlineMs: 2_000 });
  await expect.poll(() => stuck.frames.length).toBeGreaterThan(framesBefore);
  await expect.poll(() => harness.router.heldVotes()).toBeLessThanOrEqual(50);
  const names = (await harness.votes.castVoteBatch({ votes: batchOf("next", 80) }, { deadlineMs: 1_000 })).outcomes.map(
    named,
  );
  expect(names.filter((name) => name === "recorded").length).toBeGreaterThan(20);
  await held;
}, 20_000);

test("every sequence of a stream is answered exactly once (I4)", async () => {
  const harness = await start({ shardCount: 2 });
  const stream = harness.votes.castVotes();
  const count = 3_000;
  for (let i = 0; i < count; i++) stream.send({ sequence: BigInt(i), vote: vote(`v${i}`) });
  stream.send({ sequence: BigInt(count) });
  stream.end();
  const seen = new Map<bigint, string>();
  for await (const { sequence, outcome } of stream.responses) {
    expect(seen.has(sequence)).toBe(false);
    seen.set(sequence, outcome === undefined ? "none" : named(outcome));
  }
  expect(seen.size).toBe(count + 1);
  expect(seen.get(BigInt(count))).toBe("INVALID_REQUEST");
  expect([...seen.values()].filter((name) => name === "recorded")).toHaveLength(count);
});

test("a drain settles what was received: what was sent and not answered is unknown", async () => {
  const harness = await start({ shardCount: 2 });
  shardOf(harness, 1).script = noAnswer;
  const batch = Array.from({ length: 100 }, (_, i) => vote(`v${i}`));
  const casting = harness.votes.castVoteBatch({ votes: batch });
  await expect.poll(() => harness.router.heldVotes()).toBeGreaterThan(0);
  await expect.poll(() => shardOf(harness, 1).frames.length).toBe(1);
  const draining = harness.router.drain();
  const names = (await casting).outcomes.map(named);
  expect(new Set(names)).toEqual(new Set(["recorded", "OUTCOME_UNKNOWN"]));
  await draining;
});

test("a draining router reads no new call: gRPC sends such a call again to another router", async () => {
  const harness = await start({ limits: { drainSettleMs: 500 } });
  shardOf(harness).script = noAnswer;
  const held = harness.votes.castVote({ vote: vote("v1") }).catch((cause: unknown) => cause);
  await expect.poll(() => harness.router.heldVotes()).toBe(1);
  const draining = harness.router.drain();
  await expect(harness.votes.castVote({ vote: vote("v2") })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  expect(await held).toMatchObject({ reason: "OUTCOME_UNKNOWN" });
  await draining;
});

test("votes of web pages that come on while a router drains are settled or refused, none is cut off (I4)", async () => {
  const harness = await start({ limits: { drainSettleMs: 3_000 } });
  const shard = shardOf(harness);
  shard.script = async (frame) => {
    await delay(20);
    return recordAll(frame, shard);
  };
  const answers = new Set<string>();
  let over = false;
  const castOn = async (caller: number) => {
    for (let n = 0; !over; n++) {
      const idempotencyKey = randomBytes(16).toString("base64");
      const response = await fetch(`${harness.connectUrl}/urna.v1.VoteService/CastVote`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          vote: { electionId, voterId: `${caller}-${n}`, regionId: "north/one", idempotencyKey },
        }),
      }).catch(() => undefined);
      if (response === undefined) return;
      const { details } = (await response.json()) as { details?: { debug?: { reason?: string } }[] };
      answers.add(response.ok ? "recorded" : (details?.[0]?.debug?.reason ?? response.statusText));
    }
  };
  const callers = Array.from({ length: 8 }, (_, caller) => castOn(caller));
  await expect.poll(() => answers.has("recorded")).toBe(true);
  await harness.router.drain();
  over = true;
  await Promise.all(callers);
  answers.delete("SHARD_UNAVAILABLE");
  expect(answers).toEqual(new Set(["recorded"]));
});

test("a drain settles a stream's votes, then ends the stream as retryable, without waiting for its caller", async () => {
  const harness = await start();
  const stream = harness.votes.castVotes();
  stream.send({ sequence: 1n, vote: vote("v1") });
  const responses = stream.responses[Symbol.asyncIterator]();
  expect((await responses.next()).value?.sequence).toBe(1n);
  const startedAt = performance.now();
  const draining = harness.router.drain();
  await expect(responses.next()).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  await draining;
  expect(performance.now() - startedAt).toBeLessThan(1_500);
});
