import { statSync } from "node:fs";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandLine, isAlive } from "./process-identity.ts";
import { findRedis } from "./redis-binary.ts";
import { RedisRig } from "./redis-rig.ts";
import { toolSkipReason } from "./tool-requirement.ts";

const missing = await toolSkipReason("Redis server", findRedis);

describe.skipIf(missing !== undefined)("a Redis server", () => {
  let rig: RedisRig;
  const clients: Redis[] = [];

  function connect(password?: string): Redis {
    const options = { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 } as const;
    const client = new Redis(rig.url, password === undefined ? options : { ...options, password });
    client.on("error", () => {});
    clients.push(client);
    return client;
  }

  beforeAll(async () => {
    rig = await RedisRig.start({ memoryMb: 8 });
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await rig?.[Symbol.asyncDispose]();
  });

  test("answers nobody who does not know its password, and shows it to nobody", async () => {
    await expect(connect().get("anything")).rejects.toThrow(/NOAUTH/);
    await expect(connect("wrong").get("anything")).rejects.toThrow(/WRONGPASS|NOAUTH/);
    expect(await connect(rig.password).get("anything")).toBeNull();
    expect(commandLine(rig.pid)).not.toContain(rig.password);
    expect(statSync(rig.passwordFile).mode & 0o077).toBe(0);
  });

  test("throws old values away rather than refuse new ones or outgrow its memory", async () => {
    const client = connect(rig.password);
    const value = Buffer.alloc(1_000_000);
    for (let i = 0; i < 20; i++) await client.set(`frame-${i}`, value);
    expect(await client.exists("frame-19")).toBe(1);
    expect(await client.dbsize()).toBeLessThan(20);
  });

  test("forgets everything when it is killed, and serves again", async () => {
    await connect(rig.password).set("frame", "1");
    const former = rig.pid;
    await rig.kill();
    expect(isAlive(former)).toBe(false);
    await rig.start();
    expect(await connect(rig.password).get("frame")).toBeNull();
  });
});
