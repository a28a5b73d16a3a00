import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigReader } from "#mesh/config-reader.ts";
import { readRedisPlace } from "#mesh/redis-place.ts";

const folder = mkdtempSync(join(tmpdir(), "urna-redis-place-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (env: Record<string, string>) => readRedisPlace(new ConfigReader(env));

function fileOf(content: string): string {
  const path = join(folder, "password");
  writeFileSync(path, content);
  return path;
}

describe("where Redis is", () => {
  test("nothing said means that there is none", () => {
    expect(read({})).toBeUndefined();
  });

  test.each([
    ["redis://127.0.0.1:7001", { host: "127.0.0.1", port: 7_001, database: 0, tls: false }],
    ["redis://127.0.0.1", { port: 6_379 }],
    ["rediss://urna@cache.example:6380/3", { username: "urna", port: 6_380, database: 3, tls: true }],
    ["redis://[::1]:7001/", { host: "::1", port: 7_001 }],
  ])("%s", (url, place) => {
    expect(read({ URNA_REDIS_URL: url })).toMatchObject(place);
  });

  test("the password is what the file says, without the line's end", () => {
    const place = read({ URNA_REDIS_URL: "redis://127.0.0.1", URNA_REDIS_PASSWORD_FILE: fileOf("secret\n") });
    expect(place?.password).toBe("secret");
  });

  test.each([
    "127.0.0.1:6379",
    "http://127.0.0.1",
    "redis://",
    "redis://host:port",
    "redis://host/a",
    "redis://host?x=1",
  ])("%s is refused", (url) => {
    expect(() => read({ URNA_REDIS_URL: url })).toThrow(/^URNA_REDIS_URL must be/);
  });

  test("a password in the URL is refused, and not repeated", () => {
    expect(() => read({ URNA_REDIS_URL: "redis://:secret@127.0.0.1" })).toThrow(/^URNA_REDIS_URL holds a password/);
    expect(() => read({ URNA_REDIS_URL: "redas://:secret@127.0.0.1" })).toThrow(/^(?!.*secret)/);
  });

  test("a password without Redis, an empty one and none to be read are refused", () => {
    const passwordFile = fileOf("\n");
    expect(() => read({ URNA_REDIS_PASSWORD_FILE: passwordFile })).toThrow(/URNA_REDIS_URL is not/);
    const url = { URNA_REDIS_URL: "redis://127.0.0.1" };
    expect(() => read({ ...url, URNA_REDIS_PASSWORD_FILE: passwordFile })).toThrow(/names an empty file/);
    expect(() => read({ ...url, URNA_REDIS_PASSWORD_FILE: join(folder, "none") })).toThrow(/cannot be read/);
  });
});
