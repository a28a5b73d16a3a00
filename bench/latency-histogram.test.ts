import { expect, test } from "vitest";
import { LatencyHistogram } from "#bench/latency-histogram.ts";

test("quantiles are right within 1.6 %", () => {
  const histogram = new LatencyHistogram();
  for (let ms = 1; ms <= 1_000; ms++) histogram.record(ms);
  for (const [part, expectedMs] of [
    [0.5, 500],
    [0.99, 990],
    [1, 1_000],
  ] as const) {
    expect(Math.abs(histogram.quantileMs(part) - expectedMs) / expectedMs).toBeLessThan(0.016);
  }
  expect(histogram.maxMs).toBe(1_000);
});

test("a latency noted for many votes weighs as many", () => {
  const histogram = new LatencyHistogram();
  histogram.record(1, 989);
  histogram.record(100, 11);
  expect(histogram.quantileMs(0.98)).toBeLessThan(1.02);
  expect(histogram.quantileMs(0.99)).toBeGreaterThan(99);
});

test("without any latency every quantile is 0, and what is out of range falls into the outer buckets", () => {
  const histogram = new LatencyHistogram();
  expect(histogram.quantileMs(0.5)).toBe(0);
  histogram.record(0);
  histogram.record(1e9);
  expect(histogram.count).toBe(2);
  expect(histogram.quantileMs(0.5)).toBe(0.01 * 2 ** (1 / 64));
});
