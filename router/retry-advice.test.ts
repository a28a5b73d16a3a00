import { expect, test } from "vitest";
import { QueueAge } from "./queue-age.ts";
import { DrainRate, RetryAdvice } from "./retry-advice.ts";

test("refusals spread over half as long again as the wait itself, and are made anew as things change", () => {
  let pauseMs = 1_000;
  let turn = 0;
  const advice = new RetryAdvice(
    "OVERLOADED",
    () => pauseMs,
    () => (turn++ % 4) / 4,
  );
  const waits = new Set(Array.from({ length: 16 }, () => advice.next(0).retryAfterMs));
  expect([...waits].sort()).toEqual([1_000, 1_125, 1_250, 1_375]);
  pauseMs = 2_000;
  expect(advice.next(99).retryAfterMs).toBeLessThan(2_000);
  expect(advice.next(100).retryAfterMs).toBeGreaterThanOrEqual(2_000);
});

test("a wait is neither so short that callers spin nor so long that they give up", () => {
  const shortest = new RetryAdvice(
    "OVERLOADED",
    () => 0,
    () => 0,
  );
  expect(shortest.next().retryAfterMs).toBe(100);
  const longest = new RetryAdvice(
    "OVERLOADED",
    () => 1e9,
    () => 1,
  );
  expect(longest.next().retryAfterMs).toBe(7_500);
});

test("the wait is what waits, at the rate of late", () => {
  const rate = new DrainRate(0);
  expect(rate.pauseMs(5_000)).toBe(1_000);
  for (let atMs = 100; atMs <= 5_000; atMs += 100) rate.look(atMs * 4, atMs);
  expect(rate.pauseMs(8_000)).toBeCloseTo(2_000, -2);
  for (let atMs = 5_100; atMs <= 20_000; atMs += 100) rate.look(20_000, atMs);
  expect(rate.pauseMs(8_000)).toBe(1_000);
});

test("the oldest of a line is as old as the mark it came before", () => {
  const age = new QueueAge();
  expect(age.oldestMs(0, 1_000)).toBe(0);
  age.mark(10, 1_000);
  age.mark(10, 1_500);
  age.mark(15, 2_000);
  expect(age.oldestMs(0, 2_500)).toBe(1_500);
  expect(age.oldestMs(9, 2_500)).toBe(1_500);
  expect(age.oldestMs(10, 2_500)).toBe(500);
  expect(age.oldestMs(15, 2_500)).toBe(0);
});

test("a line that never empties is as old as its oldest, however many have passed", () => {
  const age = new QueueAge();
  for (let n = 1; n <= 100_000; n++) {
    age.mark(n, n * 100);
    if (n >= 10) expect(age.oldestMs(n - 10, n * 100)).toBe(900);
  }
});
