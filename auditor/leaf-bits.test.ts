import { expect, test } from "vitest";
import { LeafBits } from "./leaf-bits.ts";

test("holds what was added and not taken away, of leaves far apart", () => {
  const bits = new LeafBits();
  for (const leaf of [0, 7, 8, 1_000_003, 7]) bits.add(leaf);
  expect(bits.size).toBe(4);
  expect([0, 1, 7, 8, 9, 1_000_003, 9_000_000].map((leaf) => bits.has(leaf))).toEqual([
    true,
    false,
    true,
    true,
    false,
    true,
    false,
  ]);
  expect([bits.delete(8), bits.delete(8), bits.delete(9_000_000)]).toEqual([true, false, false]);
  expect(bits.size).toBe(3);
});
