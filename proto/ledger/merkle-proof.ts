/** What a proof proves, by the algorithms of RFC 9162: 2.1.3.2 for inclusion and 2.1.4.2 for consistency. */
import { emptyRoot, hashBytes, nodeHash } from "#proto/ledger/merkle-hash.ts";

export type InclusionClaim = {
  readonly leafHash: Uint8Array;
  readonly leafIndex: number;
  readonly treeSize: number;
  /** The leaf's sibling first. */
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
};

export type ConsistencyClaim = {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly newSize: number;
  readonly newRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
};

/** Whether the tree with this root has this leaf at this index. */
export function verifyInclusion({ leafHash, leafIndex, treeSize, proof, root }: InclusionClaim): boolean {
  if (!areSizes(leafIndex, treeSize) || leafIndex >= treeSize) return false;
  if (!areHashes([leafHash, root, ...proof])) return false;
  const path = new Path(leafIndex, treeSize - 1);
  let hash = leafHash;
  for (const sibling of proof) {
    if (path.ended) return false;
    hash = path.siblingIsLeft ? nodeHash(sibling, hash) : nodeHash(hash, sibling);
    path.climb();
  }
  return path.ended && isSame(hash, root);
}

/**
 * Whether the tree with the new root starts with all leaves of the one with the old root. Of the empty tree every tree is
 * a continuation, and of itself each one; the proof is empty then.
 */
export function verifyConsistency({ oldSize, oldRoot, newSize, newRoot, proof }: ConsistencyClaim): boolean {
  if (!areSizes(oldSize, newSize) || oldSize > newSize) return false;
  if (!areHashes([oldRoot, newRoot, ...proof])) return false;
  if (oldSize === newSize) return proof.length === 0 && isSame(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0 && isSame(oldRoot, emptyRoot);
  const [first, ...rest] = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  if (first === undefined || proof.length === 0) return false;
  const path = new Path(oldSize - 1, newSize - 1);
  path.skipRightEdges();
  let oldHash = first;
  let newHash = first;
  for (const sibling of rest) {
    if (path.ended) return false;
    if (path.siblingIsLeft) {
      oldHash = nodeHash(sibling, oldHash);
      newHash = nodeHash(sibling, newHash);
    } else newHash = nodeHash(newHash, sibling);
    path.climb();
  }
  return path.ended && isSame(oldHash, oldRoot) && isSame(newHash, newRoot);
}

/** The way from a node up to the root: its index and that of the last node, level by level. RFC 9162 calls them fn and sn. */
class Path {
  #index: number;
  #last: number;

  constructor(index: number, last: number) {
    this.#index = index;
    this.#last = last;
  }

  get ended(): boolean {
    return this.#last === 0;
  }

  /** A last node without a right sibling rises until it is a right child, so its sibling is on the left, too. */
  get siblingIsLeft(): boolean {
    return this.#index % 2 === 1 || this.#index === this.#last;
  }

  /** To the parent, past the levels where the node has no sibling. */
  climb(): void {
    if (this.siblingIsLeft) while (this.#index % 2 === 0 && this.#index !== 0) this.#up();
    this.#up();
  }

  /** To the largest complete subtree that ends with the node. */
  skipRightEdges(): void {
    while (this.#index % 2 === 1) this.#up();
  }

  /** Sizes go beyond 32 bits, where shifting ends. */
  #up(): void {
    this.#index = Math.floor(this.#index / 2);
    this.#last = Math.floor(this.#last / 2);
  }
}

function areSizes(...sizes: readonly number[]): boolean {
  return sizes.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function areHashes(hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash) => hash.length === hashBytes);
}

function isPowerOfTwo(size: number): boolean {
  return 2 ** Math.round(Math.log2(size)) === size;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
