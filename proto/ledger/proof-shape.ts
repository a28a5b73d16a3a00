/**
 * Which hashes a proof is made of (RFC 6962, 2.1). Each is the root over a range of leaves that starts at a multiple of a
 * power of two no smaller than its length: a fold of complete subtrees, largest first. Those can be read from full tiles
 * and from partial ones alike, so a proof for any tree size can be had for as long as the tiles are there.
 */
import { emptyRoot, nodeHash } from "#proto/ledger/merkle-hash.ts";
import type { TreeNode } from "#proto/ledger/tiles.ts";

/** Complete subtrees, side by side, whose fold is one hash. */
export type NodeRange = readonly TreeNode[];

/** The nodes whose fold is the root of a tree of `size` leaves. */
export function rootRanges(size: number): NodeRange {
  demandSizes(0, size);
  return rangeOf(0, size);
}

/** A range for each hash of the proof that leaf `leafIndex` is in the tree of `treeSize` leaves, its sibling first. */
export function inclusionRanges(leafIndex: number, treeSize: number): NodeRange[] {
  demandSizes(leafIndex, treeSize - 1);
  const ranges: NodeRange[] = [];
  for (let begin = 0, end = treeSize; end - begin > 1; ) {
    const middle = begin + leftSize(end - begin);
    if (leafIndex < middle) {
      ranges.push(rangeOf(middle, end));
      end = middle;
    } else {
      ranges.push(rangeOf(begin, middle));
      begin = middle;
    }
  }
  return ranges.reverse();
}

/** A range for each hash of the proof that the tree of `newSize` leaves starts with that of `oldSize`. */
export function consistencyRanges(oldSize: number, newSize: number): NodeRange[] {
  demandSizes(oldSize, newSize);
  if (oldSize === 0) return [];
  const ranges: NodeRange[] = [];
  let begin = 0;
  let end = newSize;
  while (end !== oldSize) {
    const middle = begin + leftSize(end - begin);
    if (oldSize <= middle) {
      ranges.push(rangeOf(middle, end));
      end = middle;
    } else {
      ranges.push(rangeOf(begin, middle));
      begin = middle;
    }
  }
  // Of a range that starts with the tree, the old root itself is the hash, and whoever verifies has it.
  if (begin > 0) ranges.push(rangeOf(begin, end));
  return ranges.reverse();
}

/** The root over a range; of none, the root of the empty tree. */
export function foldRange(range: NodeRange, readNode: (node: TreeNode) => Buffer): Buffer {
  const root = range
    .map(readNode)
    .reduceRight<Buffer | undefined>((right, left) => (right === undefined ? left : nodeHash(left, right)), undefined);
  return root ?? Buffer.from(emptyRoot);
}

/** `begin` is a multiple of every subtree's size that is taken off. */
function rangeOf(begin: number, end: number): NodeRange {
  const nodes: TreeNode[] = [];
  for (let at = begin; at < end; ) {
    let level = 0;
    while (2 ** (level + 1) <= end - at) level += 1;
    nodes.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return nodes;
}

/** The largest power of two below `size`, which is at least 2: the leaves to the left of the root. */
function leftSize(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

function demandSizes(smaller: number, larger: number): void {
  if (!Number.isSafeInteger(smaller) || !Number.isSafeInteger(larger) || smaller < 0 || smaller > larger) {
    throw new RangeError(`a proof cannot be from ${smaller} to ${larger}`);
  }
}
