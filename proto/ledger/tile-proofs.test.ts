import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LedgerFormatError } from "./ledger-format-error.ts";
import { nodeHash } from "./merkle-hash.ts";
import { verifyConsistency, verifyInclusion } from "./merkle-proof.ts";
import { ReferenceTree, someLeafHashes } from "./reference-tree.ts";
import { TileProofs } from "./tile-proofs.ts";
import { tileWidth } from "./tiles.ts";
import { TreeFrontier } from "./tree-frontier.ts";

const leaves = someLeafHashes(66_000);
const reference = new ReferenceTree(leaves);
const edges = [1, 2, 3, 255, 256, 257, 511, 512, 513, 65_280, 65_535, 65_536, 65_537, 65_792, 65_793];
const sizes = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 1, max: 1_200 }));
const proofs = new TileProofs(async (level, index, width) => reference.tile(level, index, width));

/** A size and one that is no larger. */
const pairs = fc.tuple(sizes, sizes).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);

test("inclusion proofs are those of the standard for all leaves and sizes", async () => {
  const cases = fc.tuple(sizes, fc.nat()).map(([size, n]): [number, number] => [n % size, size]);
  await fc.assert(
    fc.asyncProperty(cases, async ([leafIndex, size]) => {
      expect(await proofs.inclusion(leafIndex, size)).toEqual(reference.path(leafIndex, 0, size));
    }),
    { numRuns: 200 },
  );
});

test("consistency proofs are those of the standard for all sizes", async () => {
  await fc.assert(
    fc.asyncProperty(pairs, async ([oldSize, newSize]) => {
      expect(await proofs.consistency(oldSize, newSize)).toEqual(reference.subproof(oldSize, 0, newSize, true));
    }),
    { numRuns: 200 },
  );
});

test.each(edges)("the root of %i leaves is read from tiles", async (size) => {
  expect(await proofs.rootAt(size)).toEqual(reference.root(0, size));
});

test("every tree is a continuation of the empty one without a proof, and of itself", async () => {
  expect(await proofs.consistency(0, 300)).toEqual([]);
  expect(await proofs.consistency(300, 300)).toEqual([]);
});

test("a growing tree's full tiles and right edge are enough to prove any leaf and any earlier size", async () => {
  const frontier = TreeFrontier.empty();
  const stored = new Map<string, Buffer>();
  const sizesSeen = [100, 256, 700, 65_535, 65_700];
  for (const size of sizesSeen) {
    for (const tile of frontier.append(Buffer.concat(leaves.slice(frontier.size, size)))) {
      stored.set(`${tile.level}/${tile.index}`, tile.hashes);
    }
  }
  const fromStore = new TileProofs(async (level, index, width) => {
    const hashes = stored.get(`${level}/${index}`) ?? frontier.partial(level);
    return hashes.subarray(0, width * 32);
  });
  for (const size of sizesSeen) {
    expect(await fromStore.inclusion(99, size)).toEqual(reference.path(99, 0, size));
    expect(await fromStore.consistency(100, size)).toEqual(reference.subproof(100, 0, size, true));
  }
});

test("a proof reads no tile twice and no more than a few of each level", async () => {
  const read: string[] = [];
  const counting = new TileProofs(async (level, index, width) => {
    read.push(`${level}/${index}.p/${width}`);
    return reference.tile(level, index, width);
  });
  await counting.inclusion(1_000, 65_793);
  expect(read.sort()).toEqual(["0/257.p/1", "0/3.p/256", "1/0.p/256", "1/1.p/1"]);
});

/** A tree whose leaves are all alike, so that a tile of any level and index is made of one hash. */
function uniformTile(level: number, width: number): Buffer {
  let hash = leaves[0] ?? expect.fail();
  for (let i = 0; i < 8 * level; i++) hash = nodeHash(hash, hash);
  return Buffer.concat(Array.from({ length: width }, () => hash));
}

test("proofs in trees of up to 2^53 - 1 leaves verify", async () => {
  const huge = new TileProofs(async (level, _index, width) => uniformTile(level, width));
  const hugeSizes = fc.oneof(
    fc.constantFrom(2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1),
    fc.integer({ min: 1, max: 2 ** 53 - 1 }),
  );
  await fc.assert(
    fc.asyncProperty(hugeSizes, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (size, share) => {
      const smaller = Math.floor(size * share);
      const root = await huge.rootAt(size);
      const proof = await huge.inclusion(smaller, size);
      const hash = leaves[0] ?? expect.fail();
      expect(verifyInclusion({ leafHash: hash, leafIndex: smaller, treeSize: size, proof, root })).toBe(true);
      const claim = { oldSize: smaller, oldRoot: await huge.rootAt(smaller), newSize: size, newRoot: root };
      expect(verifyConsistency({ ...claim, proof: await huge.consistency(smaller, size) })).toBe(true);
    }),
    { numRuns: 50 },
  );
});

const impossible: [name: string, ask: () => Promise<unknown>][] = [
  ["a leaf beyond the tree", async () => proofs.inclusion(5, 5)],
  ["a negative leaf", async () => proofs.inclusion(-1, 5)],
  ["a leaf of the empty tree", async () => proofs.inclusion(0, 0)],
  ["a tree that shrinks", async () => proofs.consistency(6, 5)],
  ["a size that is not whole", async () => proofs.rootAt(1.5)],
];

describe("there is no proof of", () => {
  test.each(impossible)("%s", async (_, ask) => {
    await expect(ask()).rejects.toThrow(RangeError);
  });
});

test("a tile that is read with too few hashes makes no proof", async () => {
  const short = new TileProofs(async (level, index, width) =>
    reference.tile(level, index, Math.min(width, tileWidth - 1)),
  );
  await expect(short.inclusion(0, 256)).rejects.toThrow(LedgerFormatError);
});
