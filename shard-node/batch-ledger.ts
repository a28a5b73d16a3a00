/**
 * What a batch adds to the shard's ledger: a leaf for each new vote, in the order of their places in the log, and the tree
 * over all leaves so far (I8). Worked out before the commit and kept only if the batch is stored.
 */
import { randomBytes } from "node:crypto";
import { nonceBytes } from "#proto/ledger/leaf-entry.ts";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { partialWidth } from "#proto/ledger/tiles.ts";
import type { FullTile, TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import { nullifierBytes } from "#proto/limits.ts";
import type { NewVotes } from "./batch.ts";
import type { WaitingVote } from "./vote-frame.ts";

export type BatchLedger = {
  /** The tree after the batch. */
  readonly tree: TreeFrontier;
  readonly root: Buffer;
  /** 16 random bytes a new vote, in leaf order: they hide the choice in its commitment. */
  readonly nonces: Buffer;
  /** 16 bytes a new vote, in leaf order. */
  readonly leafNullifiers: Buffer;
  /** Of the new leaf hashes those that are in no full tile. */
  readonly tailHashes: Buffer;
  /** Those that became full. */
  readonly tiles: readonly FullTile[];
};

const nothing = Buffer.alloc(0);

/** Of a batch without new votes. */
export function unchangedLedger(tree: TreeFrontier): BatchLedger {
  return { tree, root: tree.root, nonces: nothing, leafNullifiers: nothing, tailHashes: nothing, tiles: [] };
}

/** `newVotes` in the order of their leaves, of which the first one's is the size of the tree before. */
export function growLedger(before: TreeFrontier, newVotes: readonly NewVotes[]): BatchLedger {
  const count = newVotes.reduce((sum, { votes }) => sum + votes.length, 0);
  if (count === 0) return unchangedLedger(before);
  const nonces = randomBytes(count * nonceBytes);
  const leafHashes = Buffer.allocUnsafe(count * hashBytes);
  const leafNullifiers = Buffer.allocUnsafe(count * nullifierBytes);
  let leaf = 0;
  for (const { election, votes } of newVotes) {
    for (let i = 0; i < votes.length; i++) {
      const { frame, index } = votes[i] as WaitingVote;
      election.leaves.leafHash(frame, index, nonces, leaf * nonceBytes, leafHashes, leaf * hashBytes);
      const at = index * nullifierBytes;
      for (let byte = 0; byte < nullifierBytes; byte++) {
        leafNullifiers[leaf * nullifierBytes + byte] = frame.nullifiers[at + byte] as number;
      }
      leaf += 1;
    }
  }
  const tree = before.clone();
  const tiles = tree.append(leafHashes);
  const tail = Math.min(count, partialWidth(tree.size, 0));
  const tailHashes = leafHashes.subarray((count - tail) * hashBytes);
  return { tree, root: tree.root, nonces, leafNullifiers, tailHashes, tiles };
}
