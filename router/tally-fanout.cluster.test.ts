/** A router between a scripted tally and a real Redis: what it answers from where, whatever happens to Redis. */
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findRedis } from "#deploy/redis-binary.ts";
import { redisClient, restrictedPlace } from "#deploy/redis-client.ts";
import { RedisRig } from "#deploy/redis-rig.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { HandDirectory, openHarness } from "./router-harness.ts";
import { keyOf, publish, rootView, ScriptedTally, tableView } from "./scripted-tally.ts";

const missing = await toolSkipReason("fan-out of tallies through Redis", findRedis);
const limitMs = 20_000;

describe.skipIf(missing !== undefined)("a router reads tallies through Redis", () => {
  let rig: RedisRig;
  let redis: Redis;
  let tally: ScriptedTally;
  let router: Awaited<ReturnType<typeof openHarness>>;
  let client: Client<typeof TallyService>;

  beforeAll(async () => {
    rig = await RedisRig.start();
    redis = redisClient(rig);
  });

  afterAll(async () => {
    redis?.disconnect();
    await rig?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await waitFor("Redis", limitMs, () => redis.flushall().catch(() => undefined));
    tally = new ScriptedTally();
    await tally.start();
    const shards = [{ shardId: 0, slots: [[0, 16_383] as const], nodes: ["127.0.0.1:1"] }];
    const view = { deployment: "test", map: { epoch: 1, shards }, tally: `127.0.0.1:${tally.port}` };
    // The rights that docs/redis.md names.
    const place = await restrictedPlace(rig, redis, ["time", "get", "subscribe", "unsubscribe"]);
    router = await openHarness(new HandDirectory(view), {}, undefined, place);
    client = createClient(TallyService, `127.0.0.1:${router.router.grpc.port}`);
    await waitFor("the router's Redis", limitMs, async () =>
      (await metric("urna_router_redis_up")) === 1 ? true : undefined,
    );
  });

  afterEach(async () => {
    client.close();
    await router.close();
    await tally.stop();
  });

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${router.router.metrics.port}/metrics`)).text();
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }

  const reads = (source: string) => metric(`urna_router_tally_reads_total{source="${source}"}`);
  const dropped = (reason: string) => metric(`urna_router_tally_dropped_total{reason="${reason}"}`);

  async function ballots(): Promise<bigint | undefined> {
    return (await client.getTally({ electionId: "e" })).region?.ballots;
  }

  async function table(): Promise<RegionTally[]> {
    const rows: RegionTally[] = [];
    for await (const { regions } of client.getTallyTable({ electionId: "e" })) rows.push(...regions);
    return rows;
  }

  /** Publishes until the router listens. */
  async function tell(number: bigint): Promise<void> {
    await waitFor("the router to listen", limitMs, async () => ((await publish(redis, number)) > 0 ? true : undefined));
  }

  /** Publishes until the router shows it; the scripted tally itself has another frame. */
  async function untilShown(number: bigint): Promise<void> {
    await waitFor(`frame ${number}`, limitMs, async () => {
      await publish(redis, number);
      return (await ballots()) === number ? true : undefined;
    });
  }

  test("what was asked of the tally once is then told by it, and answered from memory", async () => {
    expect(await ballots()).toBe(1n);
    await untilShown(2n);
    await untilShown(3n);
    expect(await reads("memory")).toBeGreaterThan(0);
  });

  test("what another router listens for is read from Redis, a table too", async () => {
    await waitFor("a read from Redis", limitMs, async () => {
      await publish(redis, 7n);
      return (await ballots()) === 7n ? true : undefined;
    });
    await waitFor("a table from Redis", limitMs, async () => {
      await publish(redis, 7n, { view: tableView });
      const [row] = await table();
      return row?.ballots === 7n ? true : undefined;
    });
    expect(await reads("redis")).toBeGreaterThanOrEqual(2);
  });

  test("what does not exist is asked of the tally each time; nobody listens for it, nor for what was asked once", async () => {
    for (let i = 0; i < 2; i++) {
      await expect(client.getTally({ electionId: "x" })).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
      await expect(client.getTally({ electionId: "e", regionId: "y" })).rejects.toMatchObject({ reason: "NOT_FOUND" });
    }
    expect(await table()).toHaveLength(1);
    await ballots();
    await ballots();
    await tell(2n);
    // The routers of the tests before may take a moment to be gone.
    await waitFor("one channel", limitMs, async () => {
      const channels = await redis.pubsub("CHANNELS");
      return String(channels) === keyOf(rootView) ? true : undefined;
    });
  });

  test("an answer out of an old dump is not shown, nor one that comes late, nor one that is behind, nor garbage (I7)", async () => {
    await publish(redis, 9n, { ageMs: 60_000 });
    await redis.persist(keyOf(rootView));
    tally.frame = 10n;
    expect(await ballots()).toBe(10n);
    expect(await ballots()).toBe(10n);
    await waitFor("the router to listen", limitMs, async () =>
      (await publish(redis, 9n, { ageMs: 3_000 })) > 0 ? true : undefined,
    );
    await publish(redis, 9n);
    await publish(redis, 11n, { ageMs: -60_000 });
    await redis.publish(keyOf(rootView), "garbage");
    await waitFor("garbage to be dropped", limitMs, async () => ((await dropped("unreadable")) > 0 ? true : undefined));
    expect(await ballots()).toBe(10n);
    expect(await dropped("late")).toBeGreaterThanOrEqual(3);
    expect(await dropped("behind")).toBeGreaterThanOrEqual(1);
    expect(await reads("tally")).toBe(3);
  });

  test("an answer is not shown for longer than it is fresh: then the tally is asked again", async () => {
    await ballots();
    await untilShown(2n);
    tally.frame = 3n;
    await waitFor("the tally's own frame", limitMs, async () => ((await ballots()) === 3n ? true : undefined));
  });

  test("a frozen Redis costs one read a moment; the others ask the tally at once, and Redis is used again when it thaws", async () => {
    rig.freeze();
    try {
      const startedAtMs = performance.now();
      for (let i = 0; i < 50; i++) expect(await ballots()).toBe(1n);
      // Fifty waits for Redis would be more than seven seconds.
      expect(performance.now() - startedAtMs).toBeLessThan(5_000);
      await waitFor("Redis to be given up", limitMs, async () =>
        (await metric("urna_router_redis_up")) === 0 ? true : undefined,
      );
    } finally {
      rig.thaw();
    }
    await waitFor("Redis", limitMs, async () => ((await metric("urna_router_redis_up")) === 1 ? true : undefined));
    await untilShown(2n);
    expect(await reads("memory")).toBeGreaterThan(0);
  });

  test("a watch goes from the tally to Redis, outlives the tally, and goes back when Redis is gone (I7)", async () => {
    const seen: bigint[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const { region } of client.watchTally({ electionId: "e" }, { signal: stop.signal })) {
        seen.push(region?.ballots ?? -1n);
      }
    })().catch((cause: unknown) => cause);
    const until = (number: bigint, act?: () => unknown) =>
      waitFor(`frame ${number}`, limitMs, async () => {
        await act?.();
        return seen.at(-1) === number ? true : undefined;
      });
    try {
      await until(1n);
      await tell(2n);
      // The tally's own watch is left with its next frame.
      tally.frame = 2n;
      await until(2n);
      const { port } = tally;
      await tally.stop();
      await until(3n, () => publish(redis, 3n));
      await publish(redis, 2n, { incarnation: 2n });
      await until(4n, () => publish(redis, 4n));
      tally = new ScriptedTally();
      tally.frame = 5n;
      await tally.start(port);
      await rig.kill();
      await until(5n);
    } finally {
      stop.abort();
      await watching;
      if (rig.pid === 0) await rig.start();
    }
    expect(seen).toEqual([1n, 2n, 3n, 4n, 5n]);
  });
});
