import fc from "fast-check";
import { expect, test } from "vitest";
import { formatReceiptId, parseReceiptId, receiptIdBytesMax, writeReceiptId } from "./receipt-id.ts";

const positions = fc.record({
  shardId: fc.integer({ min: 0, max: 16_383 }),
  leafIndex: fc.bigInt({ min: 0n, max: 2n ** 63n }),
});

test("a receipt id names its log and its leaf, and nothing else is read from it", () => {
  fc.assert(
    fc.property(positions, (position) => {
      expect(parseReceiptId(formatReceiptId(position))).toEqual(position);
    }),
  );
});

test("a receipt id is written as bytes exactly as it is formatted", () => {
  const leaves = fc.oneof(fc.nat(2_000_000), fc.maxSafeNat());
  fc.assert(
    fc.property(fc.oneof(fc.nat(16_383), fc.maxSafeNat()), leaves, fc.nat(3), (shardId, leafIndex, offset) => {
      const target = Buffer.alloc(offset + receiptIdBytesMax);
      const end = writeReceiptId(target, offset, shardId, leafIndex);
      const id = formatReceiptId({ shardId, leafIndex: BigInt(leafIndex) });
      expect(target.toString("latin1", offset, end)).toBe(id);
    }),
  );
});

test("known receipt ids stay what they are", () => {
  expect(formatReceiptId({ shardId: 0, leafIndex: 0n })).toBe("0-0000-0");
  expect(formatReceiptId({ shardId: 1, leafIndex: 799_013n })).toBe("1-RC95-V");
});

test("a receipt id read aloud may be written in lower case, with O for 0 and I or L for 1", () => {
  expect(parseReceiptId(" i-rc95-v ")).toEqual({ shardId: 1, leafIndex: 799_013n });
});

test("every single wrong character is found", () => {
  const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  fc.assert(
    fc.property(positions, fc.nat(), fc.constantFrom(...alphabet), (position, at, letter) => {
      const id = formatReceiptId(position);
      const place = at % id.length;
      fc.pre(id[place] !== "-" && id[place] !== letter);
      expect(parseReceiptId(id.slice(0, place) + letter + id.slice(place + 1))).toBeUndefined();
    }),
  );
});
