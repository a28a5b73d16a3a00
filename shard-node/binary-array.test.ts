import { expect, test } from "vitest";
import { int4Array, uuidArray } from "./binary-array.ts";

const hex = (buffer: Buffer) => buffer.toString("hex");
/** Dimensions 1, no nulls, element type, length, lower bound 1. */
const header = (oid: string, length: string) => `00000001 00000000 ${oid} ${length} 00000001`;
const bytes = (text: string) => text.replaceAll(" ", "");

test("whole numbers of 4 bytes are written as Postgres reads an int4[]", () => {
  expect(hex(int4Array([1, -1, 2_147_483_647]))).toBe(
    bytes(`${header("00000017", "00000003")} 00000004 00000001 00000004 ffffffff 00000004 7fffffff`),
  );
});

test("16 bytes with every bit set or none survive as a uuid[]", () => {
  expect(hex(uuidArray([Buffer.alloc(16, 0xff), Buffer.alloc(16)]))).toBe(
    bytes(`${header("00000b86", "00000002")} 00000010 ${"ff".repeat(16)} 00000010 ${"00".repeat(16)}`),
  );
});

for (const [name, empty] of [
  ["int4", int4Array([])],
  ["uuid", uuidArray([])],
] as const) {
  test(`an empty ${name}[] has no dimension`, () => {
    expect(empty).toHaveLength(12);
    expect(empty.readInt32BE(0)).toBe(0);
  });
}
