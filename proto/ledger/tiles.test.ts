import { expect, test } from "vitest";
import { partialWidth, tilePlace, widthAt } from "./tiles.ts";

test("a tree of 70,000 leaves has the tiles that the standard names", () => {
  expect([0, 1, 2, 3].map((level) => partialWidth(70_000, level))).toEqual([112, 17, 1, 0]);
  expect([272, 273, 274].map((index) => widthAt(70_000, 0, index))).toEqual([256, 112, 0]);
  expect([0, 1].map((index) => widthAt(70_000, 1, index))).toEqual([256, 17]);
});

test("a node is found in the tile that has its hash, or the hashes that it is the root of", () => {
  expect(tilePlace({ level: 0, index: 300 })).toEqual({ level: 0, index: 1, first: 44, count: 1 });
  expect(tilePlace({ level: 7, index: 3 })).toEqual({ level: 0, index: 1, first: 128, count: 128 });
  expect(tilePlace({ level: 8, index: 3 })).toEqual({ level: 1, index: 0, first: 3, count: 1 });
  expect(tilePlace({ level: 17, index: 2 ** 35 })).toEqual({ level: 2, index: 2 ** 28, first: 0, count: 2 });
});
