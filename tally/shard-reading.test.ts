import { beforeEach, expect, test } from "vitest";
import { HandClock } from "./sample-election.ts";
import { ShardReading } from "./shard-reading.ts";

const silenceMs = 3_000;
let clock: HandClock;
let reading: ShardReading;
let startMs: number;

beforeEach(() => {
  clock = new HandClock();
  startMs = clock.wallMs();
  reading = new ShardReading(clock, silenceMs);
});

test("a shard is missing since the start until all that it held when its stream began is folded (I7)", () => {
  clock.advance(10);
  expect(reading.missingSinceMs()).toBe(startMs);
  reading.began(100n);
  expect(reading.missingSinceMs()).toBe(startMs);
  reading.folded(99n);
  expect(reading.missingSinceMs()).toBe(startMs);
  reading.folded(100n);
  expect(reading.missingSinceMs()).toBeUndefined();
});

test("a shard whose stream broke is missing since its last message, until the next stream has caught up", () => {
  reading.began(1n);
  clock.advance(500);
  reading.folded(1n);
  const lastMs = clock.wallMs();
  clock.advance(200);
  reading.broke();
  expect(reading.missingSinceMs()).toBe(lastMs);
  reading.began(4n);
  reading.folded(3n);
  expect(reading.missingSinceMs()).toBe(lastMs);
  reading.folded(4n);
  expect(reading.missingSinceMs()).toBeUndefined();
});

test("a shard without a pulse is missing since its last message", () => {
  reading.began(1n);
  reading.folded(1n);
  const lastMs = clock.wallMs();
  clock.advance(silenceMs - 1);
  expect(reading.missingSinceMs()).toBeUndefined();
  clock.advance(1);
  expect(reading.missingSinceMs()).toBe(lastMs);
  reading.folded(2n);
  expect(reading.missingSinceMs()).toBeUndefined();
});

test("a shard that lost batches is missing until a stream begins again", () => {
  reading.began(1n);
  reading.folded(1n);
  reading.lostBatches();
  expect(reading.hasLostBatches).toBe(true);
  expect(reading.missingSinceMs()).toBe(startMs);
  reading.began(1n);
  reading.folded(2n);
  expect([reading.hasLostBatches, reading.missingSinceMs()]).toEqual([false, undefined]);
});

test("a message outside of a stream is a fault of ours", () => {
  expect(() => reading.folded(1n)).toThrow();
});
