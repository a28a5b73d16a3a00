import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LedgerFormatError } from "./ledger-format-error.ts";
import { nodeHash } from "./merkle-hash.ts";
import { foldRange, rootRanges } from "./proof-shape.ts";
import { ReferenceTree, someLeafHashes } from "./reference-tree.ts";
import { partialWidth, tileLevelsMax, tilePlace } from "./tiles.ts";
import { type FullTile, TreeFrontier } from "./tree-frontier.ts";

const leaves = someLeafHashes(66_200);
const allLeaves = Buffer.concat(leaves);
const reference = new ReferenceTree(leaves);
const edges = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 65_279, 65_280, 65_535, 65_536, 65_537, 65_792, 65_793];
const sizes = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: 1_200 }));

function leavesBetween(begin: number, end: number): Buffer {
  return allLeaves.subarray(begin * 32, end * 32);
}

function grown(size: number): TreeFrontier {
  const frontier = TreeFrontier.empty();
  frontier.append(leavesBetween(0, size));
  return frontier;
}

function partialsOf(frontier: TreeFrontier): Buffer[] {
  return Array.from({ length: tileLevelsMax }, (_, level) => frontier.partial(level));
}

test.each(edges)("a tree of %i leaves has the root and the partial tiles that the standard defines", (size) => {
  const frontier = grown(size);
  expect(frontier.size).toBe(size);
  expect(frontier.root).toEqual(reference.root(0, size));
  for (const level of [0, 1, 2]) {
    const index = Math.floor(size / 256 ** (level + 1));
    expect(frontier.partial(level)).toEqual(reference.tile(level, index, partialWidth(size, level)));
  }
});

test("however leaves are cut into batches, the tree has the same roots on the way and the same full tiles", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(255, 256, 257, 600))), (batches) => {
      const frontier = TreeFrontier.empty();
      const full: FullTile[] = [];
      let size = 0;
      for (const batch of batches) {
        full.push(...frontier.append(leavesBetween(size, size + batch)));
        size += batch;
        expect(frontier.root).toEqual(reference.root(0, size));
      }
      const [whole, atOnce] = [TreeFrontier.empty(), leavesBetween(0, size)];
      expect(full).toEqual(whole.append(atOnce));
    }),
    { numRuns: 60 },
  );
});

test("every full tile is handed out once, after those that it is made of, with its hashes and its root", () => {
  const frontier = grown(65_000);
  const full = frontier.append(leavesBetween(65_000, 65_600));
  expect(full.map(({ level, index }) => [level, index])).toEqual([
    [0, 253],
    [0, 254],
    [0, 255],
    [1, 0],
  ]);
  for (const { level, index, hashes, root } of full) {
    const span = 256 ** (level + 1);
    expect(hashes).toEqual(reference.tile(level, index, 256));
    expect(root).toEqual(reference.root(index * span, (index + 1) * span));
  }
});

test("a tree that is restored from its partial tiles grows as the one that was left", () => {
  fc.assert(
    fc.property(sizes, fc.integer({ min: 0, max: 200 }), (size, more) => {
      const left = grown(size);
      const restored = TreeFrontier.restore(size, partialsOf(left));
      expect(restored.root).toEqual(left.root);
      const next = leavesBetween(size, size + more);
      expect(restored.append(next)).toEqual(left.append(next));
      expect(restored.root).toEqual(reference.root(0, size + more));
      expect(partialsOf(restored)).toEqual(partialsOf(left));
    }),
    { numRuns: 60 },
  );
});

test("what is appended to a clone leaves no trace in the original, nor the other way round", () => {
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), (size, refused, stored) => {
      const original = grown(size);
      const clone = original.clone();
      clone.append(Buffer.alloc(refused * 32, 7));
      expect(original.root).toEqual(reference.root(0, size));
      const second = original.clone();
      original.append(leavesBetween(size, size + stored));
      expect(original.root).toEqual(reference.root(0, size + stored));
      expect(second.root).toEqual(reference.root(0, size));
      second.append(leavesBetween(size, size + stored));
      expect(second.root).toEqual(original.root);
    }),
    { numRuns: 60 },
  );
});

test("a tile that was handed out does not change as the tree grows on", () => {
  const frontier = TreeFrontier.empty();
  const [tile] = frontier.append(leavesBetween(0, 256));
  frontier.append(leavesBetween(256, 600));
  expect(tile?.hashes).toEqual(reference.tile(0, 0, 256));
});

test("trees of up to 2^53 - 1 leaves are restored with the root over their partial tiles", () => {
  const hugeSizes = fc.oneof(
    fc.constantFrom(2 ** 32 - 1, 2 ** 32 + 1, 2 ** 53 - 1),
    fc.integer({ min: 1, max: 2 ** 53 - 1 }),
  );
  fc.assert(
    fc.property(hugeSizes, (size) => {
      const partials = Array.from({ length: tileLevelsMax }, (_, level) =>
        leavesBetween(level * 256, level * 256 + partialWidth(size, level)),
      );
      const rootOver = (hashes: Buffer): Buffer => {
        const half = hashes.length / 2;
        return half === 16 ? hashes : nodeHash(rootOver(hashes.subarray(0, half)), rootOver(hashes.subarray(half)));
      };
      const root = foldRange(rootRanges(size), (node) => {
        const { level, first, count } = tilePlace(node);
        return rootOver((partials[level] ?? expect.fail()).subarray(first * 32, (first + count) * 32));
      });
      expect(TreeFrontier.restore(size, partials).root).toEqual(root);
    }),
  );
});

const hash = Buffer.alloc(32);
const misfits: [name: string, size: number, partials: Buffer[]][] = [
  ["a negative size", -1, []],
  ["a size that is not whole", 1.5, []],
  ["a size beyond 2^53 - 1", 2 ** 53, []],
  ["a partial tile that is missing", 1, []],
  ["a hash too few", 2, [hash]],
  ["a hash too many", 1, [Buffer.concat([hash, hash])]],
  ["half a hash", 1, [hash.subarray(16)]],
  ["a full tile where none is left over", 256, [Buffer.alloc(8_192), hash]],
  ["the tile of a wrong level", 256, [hash]],
  ["a tile beyond the top", 1, [hash, ...Array.from({ length: 7 }, () => Buffer.alloc(0)), hash]],
];

describe("a frontier is not restored from", () => {
  test.each(misfits)("%s", (_, size, partials) => {
    expect(() => TreeFrontier.restore(size, partials)).toThrow(LedgerFormatError);
  });
});

test("bytes that are no whole number of hashes are not appended", () => {
  expect(() => TreeFrontier.empty().append(Buffer.alloc(33))).toThrow(RangeError);
});
