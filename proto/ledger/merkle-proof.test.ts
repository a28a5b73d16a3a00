import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyRoot } from "./merkle-hash.ts";
import { type ConsistencyClaim, type InclusionClaim, verifyConsistency, verifyInclusion } from "./merkle-proof.ts";
import { ReferenceTree, someLeafHashes } from "./reference-tree.ts";

const leaves = someLeafHashes(40);
const tree = new ReferenceTree(leaves);

function inclusion(leafIndex: number, treeSize: number): InclusionClaim {
  const proof = tree.path(leafIndex, 0, treeSize);
  return { leafHash: leaves[leafIndex] ?? expect.fail(), leafIndex, treeSize, proof, root: tree.root(0, treeSize) };
}

function consistency(oldSize: number, newSize: number): ConsistencyClaim {
  const proof = oldSize === 0 ? [] : tree.subproof(oldSize, 0, newSize, true);
  return { oldSize, oldRoot: tree.root(0, oldSize), newSize, newRoot: tree.root(0, newSize), proof };
}

/** All hashes but one, which has one bit flipped. */
function flipped(hashes: readonly Uint8Array[], bit: number): Buffer[] {
  const bytes = Buffer.concat(hashes);
  const at = bit % (bytes.length * 8);
  bytes.writeUInt8(bytes.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
  return hashes.map((_, i) => bytes.subarray(i * 32, (i + 1) * 32));
}

test("every leaf of every small tree is proved, and no other leaf by the same proof", () => {
  for (let size = 1; size <= leaves.length; size++) {
    for (let index = 0; index < size; index++) {
      const claim = inclusion(index, size);
      expect(verifyInclusion(claim)).toBe(true);
      for (const other of leaves.keys()) expect(verifyInclusion({ ...claim, leafIndex: other })).toBe(other === index);
    }
  }
});

test("every small tree is proved to continue every smaller one, and no other by a proof that has hashes", () => {
  for (let newSize = 0; newSize <= leaves.length; newSize++) {
    for (let oldSize = 0; oldSize <= newSize; oldSize++) {
      const claim = consistency(oldSize, newSize);
      expect(verifyConsistency(claim)).toBe(true);
      for (let other = 1; other <= leaves.length; other++) {
        if (other !== oldSize && claim.proof.length > 0)
          expect(verifyConsistency({ ...claim, oldSize: other, oldRoot: tree.root(0, other) })).toBe(false);
      }
    }
  }
});

const cuts = fc
  .tuple(fc.integer({ min: 2, max: leaves.length }), fc.nat(), fc.nat())
  .map(([size, n, bit]) => ({ size, smaller: 1 + (n % (size - 1)), bit }));

test("a proof with any bit flipped, a hash too many or a hash too few proves no inclusion", () => {
  fc.assert(
    fc.property(cuts, ({ size, smaller, bit }) => {
      const claim = inclusion(smaller, size);
      expect(verifyInclusion({ ...claim, proof: flipped(claim.proof, bit) })).toBe(false);
      expect(verifyInclusion({ ...claim, proof: [...claim.proof, emptyRoot] })).toBe(false);
      expect(verifyInclusion({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
      expect(verifyInclusion({ ...claim, proof: claim.proof.slice(0, -1) })).toBe(false);
      const [leafHash = emptyRoot, root = emptyRoot] = flipped([claim.leafHash, claim.root], bit);
      expect(verifyInclusion({ ...claim, leafHash, root })).toBe(false);
    }),
  );
});

test("a proof with any bit flipped, a hash too many or a hash too few proves no consistency", () => {
  fc.assert(
    fc.property(cuts, ({ size, smaller, bit }) => {
      const claim = consistency(smaller, size);
      expect(verifyConsistency({ ...claim, proof: flipped(claim.proof, bit) })).toBe(false);
      expect(verifyConsistency({ ...claim, proof: [...claim.proof, emptyRoot] })).toBe(false);
      expect(verifyConsistency({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
      expect(verifyConsistency({ ...claim, proof: claim.proof.slice(0, -1) })).toBe(false);
      const [oldRoot = emptyRoot, newRoot = emptyRoot] = flipped([claim.oldRoot, claim.newRoot], bit);
      expect(verifyConsistency({ ...claim, oldRoot, newRoot })).toBe(false);
    }),
  );
});

const noInclusions: [name: string, change: Partial<InclusionClaim>][] = [
  ["a leaf beyond the tree", { leafIndex: 7 }],
  ["a negative index", { leafIndex: -1 }],
  ["an index that is not whole", { leafIndex: 2.5 }],
  ["a size beyond 2^53 - 1", { treeSize: 2 ** 53 }],
  ["the empty tree", { leafIndex: 0, treeSize: 0, proof: [], root: emptyRoot }],
  ["a short leaf hash", { leafHash: Buffer.alloc(31) }],
  ["a short hash in the proof", { proof: [Buffer.alloc(31)] }],
];

describe("nothing is proved to be in a tree by", () => {
  test.each(noInclusions)("%s", (_, change) => {
    expect(verifyInclusion({ ...inclusion(3, 7), ...change })).toBe(false);
  });
});

const noContinuations: [name: string, claim: ConsistencyClaim][] = [
  ["a tree that shrinks", { ...consistency(3, 7), oldSize: 7, newSize: 3 }],
  ["two roots for one size", { ...consistency(7, 7), newRoot: emptyRoot }],
  ["a proof where the sizes are equal", { ...consistency(7, 7), proof: [emptyRoot] }],
  ["a proof from the empty tree", { ...consistency(0, 7), proof: [emptyRoot] }],
  ["a root of the empty tree that is not its own", { ...consistency(0, 7), oldRoot: tree.root(0, 1) }],
  ["no proof where one is due", { ...consistency(4, 7), proof: [] }],
  ["a root that is too short", { ...consistency(4, 7), oldRoot: Buffer.alloc(31) }],
];

describe("no tree is proved to continue another by", () => {
  test.each(noContinuations)("%s", (_, claim) => {
    expect(verifyConsistency(claim)).toBe(false);
  });
});
