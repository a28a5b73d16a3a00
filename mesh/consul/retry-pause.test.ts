import { expect, test } from "vitest";
import { RetryPause } from "./retry-pause.ts";

test("pauses double up to a bound, are shortened by chance, and begin again after a success", () => {
  const longest = new RetryPause(() => 1);
  expect(Array.from({ length: 7 }, () => longest.nextMs())).toEqual([200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
  longest.reset();
  expect(longest.nextMs()).toBe(200);
  const shortest = new RetryPause(() => 0);
  expect(Array.from({ length: 3 }, () => shortest.nextMs())).toEqual([100, 200, 400]);
});
