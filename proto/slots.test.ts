import { expect, test } from "vitest";
import { slotCount } from "./limits.ts";
import { evenSlotRanges, slotOf, slotTable } from "./slots.ts";

test("a slot is the first 14 bits of a nullifier", () => {
  expect(slotOf(Uint8Array.of(0, 0))).toBe(0);
  expect(slotOf(Uint8Array.of(0xff, 0xff))).toBe(slotCount - 1);
  expect(slotOf(Uint8Array.of(9, 9, 0x80, 0x04), 2)).toBe(0x2001);
  expect(() => slotOf(Uint8Array.of(1))).toThrow(RangeError);
});

test.each([1, 2, 3, 7, 16_384])("even ranges of %i shards give every slot one owner (I6)", (shards) => {
  const table = slotTable(evenSlotRanges(shards).map((range, shardId) => ({ shardId, slots: [range] })));
  expect(new Set(table).size).toBe(shards);
});

test("a map with a slot that nobody or two shards own is refused (I6)", () => {
  expect(() => slotTable([{ shardId: 0, slots: [[0, 100]] }])).toThrow("slot 101 has no owner");
  const twice = [
    { shardId: 0, slots: [[0, 16_383]] as const },
    { shardId: 1, slots: [[5, 5]] as const },
  ];
  expect(() => slotTable(twice)).toThrow("slot 5 has two owners");
});
