/** A shard that stands still, as callers of a router meet it: its own votes are refused soon, the others' go on. */
import { afterEach, expect, test, vi } from "vitest";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { Harness } from "./router-harness.ts";
import { named, shardOf, startHarness, vote } from "./router-harness.ts";
import type { FrameScript } from "./scripted-shard.ts";
import { recordAll } from "./scripted-shard.ts";

vi.setConfig({ testTimeout: 60_000 });

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Taken out of service after a fifth of the usual time. */
const soon = { failedLooksMax: 4, absenceMs: 300, trialAfterMs: 200, trialLimitMs: 1_500 };

async function start(limits: Parameters<typeof startHarness>[0] = {}): Promise<Harness> {
  const harness = await startHarness({ shardCount: 2, ...limits });
  closers.push(() => harness.close());
  return harness;
}

const noAnswer: FrameScript = () => undefined;
let voters = 0;
const votesOf = (count: number) => Array.from({ length: count }, () => vote(`v${voters++}`));
const batch = async ({ votes }: Harness, count: number, deadlineMs = 20_000) =>
  (await votes.castVoteBatch({ votes: votesOf(count) }, { deadlineMs })).outcomes;

async function metric({ router }: Harness, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${router.metrics.port}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

function breakerOf(harness: Harness, shard: number): Promise<number> {
  return metric(harness, `urna_router_shard_breaker_state{shard="${shard}"}`);
}

/** A shard that commits its pulse. */
function pulsing(harness: Harness, index: number): void {
  const pulse = setInterval(() => {
    shardOf(harness, index).batch += 1n;
  }, 50);
  closers.push(async () => clearInterval(pulse));
}

test("a batch waits for a shard that stands still only until that is taken out of service, and no other batch waits at all (I4)", async () => {
  const harness = await start({ limits: soon });
  await batch(harness, 10);
  const frozen = shardOf(harness, 1);
  frozen.script = noAnswer;
  const startedAt = performance.now();
  const first = (await batch(harness, 200)).map(named);
  // Not at its margin, eighteen seconds later.
  expect(performance.now() - startedAt).toBeLessThan(12_000);
  expect(new Set(first)).toEqual(new Set(["recorded", "OUTCOME_UNKNOWN"]));
  expect(await breakerOf(harness, 1)).toBeGreaterThan(0);
  const framesBefore = frozen.frames.length;
  const next = await batch(harness, 200);
  expect(new Set(next.map(named))).toEqual(new Set(["recorded", "SHARD_UNAVAILABLE"]));
  for (const { result } of next) {
    if (result.case === "rejection")
      expect(result.value).toMatchObject({ retryable: true, retryAfter: { nanos: expect.any(Number) } });
  }
  expect(frozen.frames).toHaveLength(framesBefore);
  expect(await breakerOf(harness, 0)).toBe(0);

  // It thaws: its pulse is seen, and the votes come in again.
  frozen.script = recordAll;
  pulsing(harness, 1);
  await expect.poll(() => breakerOf(harness, 1), { timeout: 10_000 }).toBe(0);
  expect(new Set((await batch(harness, 200)).map(named))).toEqual(new Set(["recorded"]));
});

test("a single vote that was sent to a shard which stands still waits for the shard, also after that was taken out of service", async () => {
  const harness = await start({ limits: soon, shardCount: 1 });
  await batch(harness, 1);
  const shard = shardOf(harness);
  const thawed = Promise.withResolvers<void>();
  shard.script = async (frame) => {
    await thawed.promise;
    return recordAll(frame, shard);
  };
  const cast = harness.votes.castVote({ vote: vote("waits") }, { deadlineMs: 30_000 });
  await expect.poll(() => breakerOf(harness, 0), { timeout: 10_000 }).toBeGreaterThan(0);
  await expect(harness.votes.castVote({ vote: vote("late") })).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  thawed.resolve();
  expect(await cast).toMatchObject({ repeat: false });
});

test("a shard without a writer is taken out of service: votes that waited unsent have stored nothing, and say so (I4)", async () => {
  const harness = await start({ limits: soon });
  await batch(harness, 10);
  const dead = shardOf(harness, 1);
  dead.role = ShardRole.SPARE;
  dead.breakStreams();
  await expect.poll(() => metric(harness, "urna_router_connected_shards")).toBe(1);
  const startedAt = performance.now();
  const names = (await batch(harness, 200)).map(named);
  expect(performance.now() - startedAt).toBeLessThan(12_000);
  expect(new Set(names)).toEqual(new Set(["recorded", "SHARD_UNAVAILABLE"]));
  expect(await breakerOf(harness, 1)).toBeGreaterThan(0);
  dead.role = ShardRole.WRITER;
  pulsing(harness, 1);
  await expect.poll(() => breakerOf(harness, 1), { timeout: 10_000 }).toBe(0);
  expect(new Set((await batch(harness, 200)).map(named))).toEqual(new Set(["recorded"]));
});

test("a frame that breaks every stream is sent only so often, and its votes are unknown then (I4)", async () => {
  const harness = await start({ shardCount: 1, limits: { sendsMax: 3 } });
  const shard = shardOf(harness);
  shard.script = () => {
    shard.breakStreams();
    return undefined;
  };
  const cast = harness.votes.castVote({ vote: vote("poison") }, { deadlineMs: 30_000 });
  await expect(cast).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
  expect(shard.frames).toHaveLength(3);
  await expect.poll(() => harness.router.heldVotes()).toBe(0);
});

test("a full router refuses a batch before it reads it (I9)", async () => {
  const harness = await start({ shardCount: 1, limits: { votesMax: 50 } });
  await batch(harness, 10);
  const held = Promise.withResolvers<void>();
  const shard = shardOf(harness);
  shard.script = async (frame) => {
    await held.promise;
    return recordAll(frame, shard);
  };
  const filling = batch(harness, 50);
  await expect.poll(() => harness.router.heldVotes()).toBe(50);
  const refused = harness.votes.castVoteBatch({ votes: votesOf(5) });
  await expect(refused).rejects.toMatchObject({ reason: "OVERLOADED", retryAfterMs: expect.any(Number) });
  held.resolve();
  expect((await filling).map(named).every((name) => name === "recorded")).toBe(true);
});
