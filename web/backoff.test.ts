import { describe, expect, test } from "vitest";
import { backoffFirstMs, backoffMaxMs, backoffMs, waitMs } from "./backoff.ts";

describe("backoff", () => {
  test("the wait doubles up to its limit", () => {
    const waits = [1, 2, 3, 4, 5, 6, 50].map((attempt) => backoffMs(attempt, 1));
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, backoffMaxMs, backoffMaxMs]);
  });

  test("readers are spread over half of the wait", () => {
    expect(backoffMs(1, 0)).toBe(backoffFirstMs / 2);
  });

  test("a wait ends at once when it is aborted", async () => {
    const stop = new AbortController();
    const waiting = waitMs(3_600_000, stop.signal);
    stop.abort();
    await waiting;
    await waitMs(3_600_000, stop.signal);
  });
});
