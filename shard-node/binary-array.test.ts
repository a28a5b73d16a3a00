import { expect, test } from "vitest";
import { byteaArray, int4Array, int8Array, uuidArray } from "./binary-array.ts";

const hex = (buffer: Buffer) => buffer.toString("hex");
/** Dimensions 1, no nulls, element type, length, lower bound 1. */
const header = (oid: string, length: string) => `00000001 00000000 ${oid} ${length} 00000001`;
const bytes = (text: string) => text.replaceAll(" ", "");

test("whole numbers of 4 bytes are written as Postgres reads an int4[]", () => {
  expect(hex(int4Array([1, -1, 2_147_483_647]))).toBe(
    bytes(`${header("00000017", "00000003")} 00000004 00000001 00000004 ffffffff 00000004 7fffffff`),
  );
});

test("whole numbers of 8 bytes keep both halves, up to the largest safe one", () => {
  expect(hex(int8Array([1, 2 ** 32, 2 ** 32 - 1, Number.MAX_SAFE_INTEGER]))).toBe(
    bytes(
      `${header("00000014", "00000004")} 00000008 0000000000000001 00000008 0000000100000000
       00000008 00000000ffffffff 00000008 001fffffffffffff`.replaceAll("\n", ""),
    ),
  );
});

test("16 bytes with every bit set or none survive as a uuid[]", () => {
  expect(hex(uuidArray(["\xff".repeat(16), "\0".repeat(16)]))).toBe(
    bytes(`${header("00000b86", "00000002")} 00000010 ${"ff".repeat(16)} 00000010 ${"00".repeat(16)}`),
  );
});

test("byte strings of any length, none included, are written as a bytea[]", () => {
  expect(hex(byteaArray(["\x80\xff", "", "\0"]))).toBe(
    bytes(`${header("00000011", "00000003")} 00000002 80ff 00000000 00000001 00`),
  );
});

for (const [name, empty] of [
  ["int4", int4Array([])],
  ["int8", int8Array([])],
  ["uuid", uuidArray([])],
  ["bytea", byteaArray([])],
] as const) {
  test(`an empty ${name}[] has no dimension`, () => {
    expect(empty).toHaveLength(12);
    expect(empty.readInt32BE(0)).toBe(0);
  });
}
