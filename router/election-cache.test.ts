import { createSecretKey, randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { afterEach, expect, test, vi } from "vitest";
import { createLogger } from "#mesh/log.ts";
import type { ElectionRecord } from "#proto/generated/urna/v1/shard_service_pb.js";
import { ElectionRecordSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { ElectionCache } from "./election-cache.ts";
import { makeWrappedKey } from "./election-key.ts";
import { definition } from "./router-harness.ts";

const routerKey = createSecretKey(randomBytes(32));
const log = createLogger("test", "silent");

afterEach(() => {
  vi.useRealTimers();
});

function record(wrappedKey = makeWrappedKey(routerKey, "e")): ElectionRecord {
  return create(ElectionRecordSchema, { electionId: "e", definition: definition(), wrappedKey });
}

/** A cache that reads what `answer` gives, and counts how often. */
function cacheOf(answer: (electionId: string) => Promise<ElectionRecord | undefined>) {
  const reads: string[] = [];
  const read = (electionId: string) => {
    reads.push(electionId);
    return answer(electionId);
  };
  return { cache: new ElectionCache(read, routerKey, log), reads };
}

test("look-ups of one election are made once for all who wait, and never again", async () => {
  const { cache, reads } = cacheOf(async () => record());
  expect(cache.peek("e")).toBeUndefined();
  const found = await Promise.all(Array.from({ length: 50 }, () => cache.get("e")));
  expect(new Set(found).size).toBe(1);
  expect(cache.peek("e")).toBe(found[0]);
  expect(reads).toEqual(["e"]);
});

test("an election that a shard knows otherwise is read again", async () => {
  const { cache, reads } = cacheOf(async () => record());
  const first = await cache.get("e");
  cache.drop(first);
  const second = await cache.get("e");
  expect(second).not.toBe(first);
  cache.drop(first);
  expect(cache.peek("e")).toBe(second);
  expect(reads).toHaveLength(2);
});

test("that an election is unknown is remembered for a quarter of a second", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const { cache, reads } = cacheOf(async () => undefined);
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  vi.advanceTimersByTime(249);
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  expect(reads).toHaveLength(1);
  vi.advanceTimersByTime(2);
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  expect(reads).toHaveLength(2);
});

test("an election created here is looked for at once", async () => {
  let exists = false;
  const { cache } = cacheOf(async () => (exists ? record() : undefined));
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  exists = true;
  cache.created("e");
  expect((await cache.get("e")).electionId).toBe("e");
});

test("a home that cannot be reached is not remembered as an unknown election", async () => {
  let away = true;
  const { cache } = cacheOf(async () => {
    if (away) throw new RejectionError("SHARD_UNAVAILABLE");
    return record();
  });
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  away = false;
  expect((await cache.get("e")).electionId).toBe("e");
});

test("an id that no election can have is never looked for", async () => {
  const { cache, reads } = cacheOf(async () => undefined);
  for (const id of ["", "UPPER", "with space", "x".repeat(65), "ü"]) {
    await expect(cache.get(id)).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  }
  expect(reads).toEqual([]);
});

test("look-ups under way are bounded (I9)", async () => {
  const { cache } = cacheOf(() => new Promise(() => {}));
  for (let i = 0; i < 256; i++) cache.get(`e${i}`).catch(() => {});
  await expect(cache.get("one-more")).rejects.toMatchObject({ reason: "OVERLOADED" });
});

test("a key that was wrapped under another router key is an internal error, not a vote under a wrong nullifier", async () => {
  const { cache } = cacheOf(async () => record(makeWrappedKey(createSecretKey(randomBytes(32)), "e")));
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "INTERNAL" });
});

test("while an election's home is away one look-up waits for it, and the others are refused at once (I9)", async () => {
  let answer = Promise.withResolvers<ElectionRecord | undefined>();
  const { cache } = cacheOf(() => answer.promise);
  const first = [cache.get("e"), cache.get("e")];
  answer.reject(new RejectionError("SHARD_UNAVAILABLE"));
  for (const get of first) await expect(get).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  answer = Promise.withResolvers();
  const looking = cache.get("e");
  await expect(cache.get("e")).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  answer.resolve(record());
  expect(await looking).toMatchObject({ electionId: "e" });
  expect(await cache.get("e")).toBe(await looking);
});
