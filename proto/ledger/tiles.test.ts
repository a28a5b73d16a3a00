import { describe, expect, test } from "vitest";
import { partialWidth, tilePath, tilePlace, widthAt } from "./tiles.ts";

const paths: [level: number | "entries", index: number, width: number, path: string][] = [
  [0, 0, 256, "tile/0/000"],
  [0, 0, 1, "tile/0/000.p/1"],
  [1, 67, 255, "tile/1/067.p/255"],
  [0, 999, 256, "tile/0/999"],
  [0, 1_000, 256, "tile/0/x001/000"],
  [2, 1_234_067, 17, "tile/2/x001/x234/067.p/17"],
  ["entries", 1_234_067, 256, "tile/entries/x001/x234/067"],
];

test.each(paths)("the tile of level %s, number %i and width %i has its path", (level, index, width, path) => {
  expect(tilePath(level, index, width)).toBe(path);
});

describe("no path is given to a tile of", () => {
  test.each([0, 257, 1.5])("%d hashes", (width) => {
    expect(() => tilePath(0, 0, width)).toThrow(RangeError);
  });
});

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
