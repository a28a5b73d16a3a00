/** A link to a real Redis: who asks never waits for long, and is told what is wrong. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { findRedis } from "#deploy/redis-binary.ts";
import { placeOf } from "#deploy/redis-client.ts";
import { RedisRig } from "#deploy/redis-rig.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Logger } from "#mesh/log.ts";
import { RedisLink, redisTimes } from "#mesh/redis-link.ts";

const missing = await toolSkipReason("links to Redis", findRedis);
const limitMs = 20_000;

describe.skipIf(missing !== undefined)("a link to Redis", () => {
  let rig: RedisRig;
  const links: RedisLink[] = [];
  const told: string[] = [];

  beforeAll(async () => {
    rig = await RedisRig.start();
  });

  afterEach(() => {
    for (const link of links.splice(0)) link.close();
    told.length = 0;
  });

  afterAll(async () => {
    await rig?.[Symbol.asyncDispose]();
  });

  /** Where a test's own slowness is not to be taken for that of Redis, it is patient. */
  function open(change: Partial<ReturnType<typeof placeOf>> = {}, commandLimitMs = limitMs): RedisLink {
    const note = (level: string) => (_: unknown, text?: string) => void told.push(`${level}: ${text ?? String(_)}`);
    const log = { warn: note("warn"), info: note("info") } as unknown as Logger;
    const times = { ...redisTimes, commandLimitMs };
    const link = new RedisLink({ place: { ...placeOf(rig), ...change }, name: "link test", log, times });
    links.push(link);
    return link;
  }

  const untilUp = (link: RedisLink) => waitFor("Redis to answer", limitMs, () => (link.answers ? true : undefined));
  const untilDown = (link: RedisLink) => waitFor("trouble", limitMs, () => link.trouble() || undefined);

  test("answers, knows Redis's time, and tells what Redis refuses from its silence", async () => {
    const link = open();
    expect(await link.ask((redis) => redis.get("a"))).toEqual({ kind: "silent" });
    await untilUp(link);
    expect(await link.ask((redis) => redis.set("a", "1"))).toEqual({ kind: "answered", value: "OK" });
    expect(Math.abs((link.redisNowMs ?? 0) - Date.now())).toBeLessThan(2_000);
    expect(await link.ask((redis) => redis.incr("a"))).toEqual({ kind: "answered", value: 2 });
    expect(await link.ask((redis) => redis.lpush("a", "x"))).toMatchObject({
      kind: "refused",
      why: expect.stringContaining("WRONGTYPE"),
    });
    expect(link.trouble()).toBe("");
  });

  test("says why it is not let in", async () => {
    const link = open({ password: "wrong" });
    expect(await untilDown(link)).toMatch(/^Redis does not answer since \d+ s \(WRONGPASS/);
    await waitFor("a line in the log", limitMs, () => told[0]);
  });

  test("a frozen Redis is waited for once, then not asked, and it is said once; thawed, it is used again", async () => {
    const link = open({}, redisTimes.commandLimitMs);
    await untilUp(link);
    rig.freeze();
    try {
      const answers = await Promise.all(Array.from({ length: 100 }, () => link.ask((redis) => redis.get("a"))));
      expect(answers.every(({ kind }) => kind === "silent")).toBe(true);
      expect(link.answers).toBe(false);
      let asked = 0;
      for (let i = 0; i < 1_000; i++) {
        await link.ask(async () => {
          asked += 1;
        });
      }
      expect(asked).toBe(0);
      expect(await untilDown(link)).toMatch(/^Redis does not answer since \d+ s \(/);
      await waitFor("a line in the log", limitMs, () => told[0]);
    } finally {
      rig.thaw();
    }
    await untilUp(link);
    await waitFor("the next line in the log", limitMs, () => told[1]);
    expect(told).toEqual([
      "warn: Redis does not answer: what it is for goes on without it",
      "info: Redis answers again",
    ]);
  });

  test("a killed Redis is found again, and whoever listened is told to listen again", async () => {
    const link = open();
    let ups = 0;
    link.onUp(() => {
      ups += 1;
    });
    await untilUp(link);
    await rig.kill();
    expect(await untilDown(link)).toMatch(/ECONNREFUSED|closed|no answer/);
    await rig.start();
    await untilUp(link);
    expect(ups).toBeGreaterThanOrEqual(2);
    const heard = Promise.withResolvers<string>();
    link.onMessage((channel, message) => heard.resolve(`${channel} ${message}`));
    await link.ask((redis) => redis.subscribe("a"));
    await link.ask((redis) => redis.publish("a", "b"));
    expect(await heard.promise).toBe("a b");
    // One connection does both.
    expect(await link.ask((redis) => redis.get("a"))).toEqual({ kind: "answered", value: null });
  });
});
