import { expect, test } from "vitest";
import { QueueDelay } from "./queue-delay.ts";

const limits = { targetMs: 1_000, intervalMs: 500 };

test("a queue is overloaded once its oldest entry has waited beyond the target for the whole interval (I9)", () => {
  const delay = new QueueDelay(limits);
  for (const [atMs, oldestMs, overloaded] of [
    [0, 0, false],
    [100, 1_200, false],
    [500, 1_400, false],
    [599, 1_400, false],
    [600, 1_500, true],
    [900, 1_000, true],
  ] as const) {
    delay.look(oldestMs, atMs);
    expect(delay.overloaded, `at ${atMs} ms`).toBe(overloaded);
  }
});

test("one look below the target ends it, and the interval begins anew", () => {
  const delay = new QueueDelay(limits);
  delay.look(2_000, 0);
  delay.look(2_000, 500);
  expect(delay.overloaded).toBe(true);
  delay.look(999, 600);
  expect(delay.overloaded).toBe(false);
  delay.look(1_000, 700);
  delay.look(1_000, 1_199);
  expect(delay.overloaded).toBe(false);
  delay.look(1_000, 1_200);
  expect(delay.overloaded).toBe(true);
});

test("a burst that drains within the interval disturbs nobody, however often it comes", () => {
  const delay = new QueueDelay(limits);
  for (let turn = 0; turn < 10; turn++) {
    delay.look(1_500, turn * 1_000);
    delay.look(1_900, turn * 1_000 + 400);
    expect(delay.overloaded).toBe(false);
    delay.look(0, turn * 1_000 + 900);
  }
});
