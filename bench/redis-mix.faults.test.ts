/** Half a minute of whatever can happen to Redis, to the tally and to routers, chosen by a seed, under load. */
import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { FrameWitness } from "#bench/frame-witness.ts";
import { pickFrom, randomFrom } from "#bench/seeded-random.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { redisClient } from "#deploy/redis-client.ts";
import { RedisRig } from "#deploy/redis-rig.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";

const missing = await toolSkipReason("a mix of faults of Redis", findRedis);

/** Set it to see a failure again: each lane then chooses the same faults in the same order, if not at the same instants. */
const seed = Number(process.env["URNA_TEST_SEED"] ?? randomInt(2 ** 31));
const lastsMs = 30_000;
const pauseMsMax = 1_500;
const freezeMsMax = 5_000;
const limitMs = 60_000;

/** What can happen to Redis; each answers what it did. */
function redisFaults(rig: RedisRig, redis: Redis, random: () => number): readonly (() => Promise<string>)[] {
  const dump = new Map<string, Buffer>();
  return [
    async () => {
      const forMs = random() * freezeMsMax;
      rig.freeze();
      await delay(forMs);
      rig.thaw();
      return `freeze Redis for ${Math.round(forMs)} ms`;
    },
    async () => {
      await rig.kill();
      await delay(random() * freezeMsMax);
      await rig.start();
      return "kill Redis";
    },
    async () => {
      await redis.flushall();
      return "flush Redis";
    },
    async () => {
      for (const key of await redis.keys("urna:*")) {
        const value = await redis.getBuffer(key);
        if (value !== null) dump.set(key, value);
      }
      return `dump ${dump.size} keys`;
    },
    async () => {
      for (const [key, value] of dump) {
        await redis.set(key, value);
        await redis.publish(key, value);
      }
      return `restore ${dump.size} keys`;
    },
    async () => {
      await redis.config("SET", "maxmemory-policy", "noeviction");
      await redis.config("SET", "maxmemory", "1");
      await delay(random() * freezeMsMax);
      await redis.config("SET", "maxmemory", "64mb");
      return "Redis without memory";
    },
  ];
}

/** What can happen to those who use it. */
function serviceFaults(story: Story, random: () => number): readonly (() => Promise<string>)[] {
  const names = ["tally", "router-0", "router-1"];
  return [
    async () => {
      const name = pickFrom(names, random);
      await story.kill(name);
      return `kill ${name}`;
    },
    async () => {
      const name = pickFrom(names, random);
      const forMs = random() * freezeMsMax;
      story.cluster.freeze(name);
      await delay(forMs);
      story.cluster.thaw(name);
      return `freeze ${name} for ${Math.round(forMs)} ms`;
    },
  ];
}

test.skipIf(missing !== undefined)(
  `random faults of Redis, tally and routers with seed ${seed}: no vote is lost, no count falls, and Redis is used again (I1, I4, I7)`,
  async () => {
    console.log(`redis mix: URNA_TEST_SEED=${seed}`);
    await using rig = await RedisRig.start();
    const redis = redisClient(rig);
    const environment = { URNA_REDIS_URL: rig.url, URNA_REDIS_PASSWORD_FILE: rig.passwordFile };
    await using story = await Story.start({
      shards: 2,
      routers: 2,
      spares: 0,
      environment: (name) => (/^(tally|router-\d)$/.test(name) ? environment : {}),
    });
    const electionId = "redis-mix";
    await story.election(electionId);
    await using storm = story.storm(electionId, { workers: 2, patienceMs: 120_000 });
    const witnesses = story.routers.map((router) => new FrameWitness([router], electionId, () => storm.sent));
    const untilMs = performance.now() + lastsMs;
    const done: string[] = [];

    const lane = async (number: number, faultsOf: (random: () => number) => readonly (() => Promise<string>)[]) => {
      const random = randomFrom(seed + number);
      const faults = faultsOf(random);
      while (performance.now() < untilMs) {
        await delay(random() * pauseMsMax);
        const fault = pickFrom(faults, random);
        // The test's own client of Redis may be between two connections.
        done.push(await fault().catch((error: unknown) => `nothing: ${error}`));
      }
    };
    await Promise.all([
      lane(0, (random) => redisFaults(rig, redis, random)),
      lane(1, (random) => serviceFaults(story, random)),
    ]);
    console.log(`redis mix: ${done.join(", ")}`);
    await story.healed();
    if (rig.pid === 0) await rig.start();

    const seen = witnesses.map(({ rule }) => rule.frames);
    await storm.untilMore(100, limitMs);
    await waitFor("frames at both routers", limitMs, () =>
      witnesses.every(({ rule }, i) => rule.frames > (seen[i] ?? 0) + 2) ? true : undefined,
    );
    for (const { metrics } of story.cluster.endpoints.routers) {
      await waitFor("reads from memory", limitMs, async () => {
        const text = await (await fetch(metrics)).text();
        return /^urna_router_tally_reads_total\{source="memory"\} [1-9]/m.test(text) ? true : undefined;
      });
    }
    await storm.stop();
    const rules = await Promise.all(witnesses.map((witness) => witness.stop()));
    redis.disconnect();
    expect(done.filter((what) => !what.startsWith("nothing")).length).toBeGreaterThan(5);
    expect(rules.flatMap(({ faults }) => faults)).toEqual([]);
    await story.expectTally(electionId);
    expect(await story.check()).toEqual([]);
  },
);
