import { describe, expect, test } from "vitest";
import { formatBytes, formatCount, formatShare, fractionOf } from "./number-format.ts";

describe("numbers on the page", () => {
  test("counts have separators, also beyond what a double holds exactly", () => {
    expect(formatCount(799_014n)).toBe("799,014");
    expect(formatCount(9_007_199_254_740_993n)).toBe("9,007,199,254,740,993");
  });

  test("a share of nothing is a dash, never NaN", () => {
    expect(formatShare(0n, 0n)).toBe("–");
    expect(fractionOf(0n, 0n)).toBe(0);
  });

  test("shares have one decimal place and a space that does not break", () => {
    expect(formatShare(420_125n, 799_014n)).toBe("52.6\u00a0%");
    expect(formatShare(1n, 1n)).toBe("100.0\u00a0%");
  });

  test("lag is written in the unit that fits", () => {
    expect([0n, 999n, 34_812n, 3_400_000n].map(formatBytes)).toEqual(["0 bytes", "999 bytes", "34 kB", "3.4 MB"]);
  });
});
