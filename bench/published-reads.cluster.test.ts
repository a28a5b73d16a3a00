/** A whole cluster with a real Redis: routers read tallies from memory, and whatever happens to Redis, votes and reads go on. */
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { FrameWitness } from "#bench/frame-witness.ts";
import { PollingReader } from "#bench/polling-reader.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { redisClient } from "#deploy/redis-client.ts";
import { RedisRig } from "#deploy/redis-rig.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";

const missing = await toolSkipReason("tallies through Redis", findRedis);
const limitMs = 30_000;

type Fault = {
  readonly name: string;
  /** Where answers come from meanwhile. */
  readonly source: "memory" | "tally";
  readonly begin: () => unknown;
  readonly end: () => unknown;
};

describe.skipIf(missing !== undefined)("tallies through Redis", () => {
  let rig: RedisRig;
  let redis: Redis;
  let story: Story;

  beforeAll(async () => {
    rig = await RedisRig.start();
    redis = redisClient(rig);
    const environment = { URNA_REDIS_URL: rig.url, URNA_REDIS_PASSWORD_FILE: rig.passwordFile };
    story = await Story.start({
      shards: 2,
      routers: 2,
      spares: 0,
      environment: (name) => (/^(tally|router-\d)$/.test(name) ? environment : {}),
    });
  });

  afterAll(async () => {
    redis?.disconnect();
    await story?.[Symbol.asyncDispose]();
    await rig?.[Symbol.asyncDispose]();
  });

  async function metric(router: number, name: string): Promise<number> {
    const text = await (await fetch(story.cluster.endpoints.routers[router]?.metrics ?? "")).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }

  /** So many more answers of both routers come from there. */
  async function untilRead(source: "memory" | "tally", answers: number): Promise<void> {
    const name = `urna_router_tally_reads_total{source="${source}"}`;
    const before = await Promise.all([0, 1].map((router) => metric(router, name)));
    await waitFor(`reads of both routers from ${source}`, limitMs, async () => {
      const now = await Promise.all([0, 1].map((router) => metric(router, name)));
      return now.every((count, router) => count >= (before[router] ?? 0) + answers) ? true : undefined;
    });
  }

  test("Redis frozen, out of memory, flushed, restored from an old dump, killed: votes and reads go on, and none runs backwards (I7)", async () => {
    const electionId = "redis-fails";
    await story.election(electionId);
    await using storm = story.storm(electionId, { workers: 2 });
    const witness = new FrameWitness(story.routers, electionId, () => storm.sent);
    const readers = story.routers.map((router) => new PollingReader(router, electionId));
    await storm.untilMore(50);
    await untilRead("memory", 20);
    const old = await dump();

    // Where Redis tells nothing, the tally is asked; where it merely keeps nothing, memory still does.
    const faults: readonly Fault[] = [
      { name: "frozen", source: "tally", begin: () => rig.freeze(), end: () => rig.thaw() },
      { name: "out of memory", source: "memory", begin: () => limitMemory("1"), end: () => limitMemory("64mb") },
      { name: "flushed", source: "memory", begin: () => redis.flushall(), end: () => {} },
      { name: "restored from an old dump", source: "memory", begin: () => restore(old), end: () => restore(old) },
      { name: "killed", source: "tally", begin: () => rig.kill(), end: () => rig.start() },
    ];
    for (const { name, source, begin, end } of faults) {
      await begin();
      const answers = readers.map((reader) => reader.answers);
      try {
        await storm.untilMore(100);
        await untilRead(source, 20);
        await waitFor(`reads while Redis is ${name}`, limitMs, () =>
          readers.every((reader, i) => reader.answers >= (answers[i] ?? 0) + 20) ? true : undefined,
        );
      } finally {
        await end();
      }
      await untilRead("memory", 5);
    }
    expect(await metric(0, 'urna_router_tally_dropped_total{reason="late"}')).toBeGreaterThan(0);
    await storm.stop();
    await story.expectTally(electionId);
    const rule = await witness.stop();
    for (const reader of readers) await reader.stop();
    expect(rule.faults).toEqual([]);
    expect(rule.dropped).toBe(0);
    expect(rule.frames).toBeGreaterThan(5);
    expect(readers.flatMap(({ faults: found }) => found)).toEqual([]);
    // Nothing waits for Redis; the bound is for a loaded machine.
    expect(Math.max(...readers.map(({ slowestMs }) => slowestMs))).toBeLessThan(5_000);
    expect(await story.check()).toEqual([]);
  });

  test("a watch at a router outlives the tally, and shows no count that falls (I7)", async () => {
    const electionId = "watch-lives";
    await story.election(electionId);
    await using storm = story.storm(electionId, { workers: 1 });
    const ballots: bigint[] = [];
    const incarnations = new Set<bigint | undefined>();
    const stop = new AbortController();
    const watching = (async () => {
      for await (const { cut, region } of story.talliesAt(0).watchTally({ electionId }, { signal: stop.signal })) {
        ballots.push(region?.ballots ?? -1n);
        incarnations.add(cut?.frame?.incarnation);
      }
    })();
    const ended = watching.then(
      () => "ended",
      (cause: unknown) => String(cause),
    );
    try {
      await storm.untilMore(20);
      await waitFor("frames", limitMs, () => (ballots.length > 2 ? true : undefined));
      await story.kill("tally");
      await storm.untilMore(20);
      const told = Promise.race([
        ended,
        waitFor("the next tally's frames", limitMs, () => incarnations.size > 1 || undefined),
      ]);
      expect(await told).toBe(true);
    } finally {
      stop.abort();
      await ended;
    }
    expect(ballots.every((count, i) => i === 0 || count >= (ballots[i - 1] ?? 0n))).toBe(true);
    await storm.stop();
    await story.expectTally(electionId);
  });

  async function limitMemory(bytes: string): Promise<void> {
    await redis.config("SET", "maxmemory-policy", "noeviction");
    await redis.config("SET", "maxmemory", bytes);
  }

  async function dump(): Promise<Map<string, Buffer>> {
    const values = new Map<string, Buffer>();
    for (const key of await redis.keys("urna:*")) {
      const value = await redis.dumpBuffer(key);
      if (value !== null) values.set(key, value);
    }
    expect(values.size).toBeGreaterThan(0);
    return values;
  }

  /** As if they had no end; and whoever listens is told, too. */
  async function restore(values: ReadonlyMap<string, Buffer>): Promise<void> {
    for (const [key, value] of values) {
      await redis.restore(key, 0, value, "REPLACE");
      const bytes = await redis.getBuffer(key);
      await redis.publish(key, bytes ?? "");
    }
  }
});
