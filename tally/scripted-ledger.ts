/**
 * The ledger of a shard, for the tests of this room: real signatures over real trees, which a test may also cut, rewrite or
 * sign with another key. It proves by the words of RFC 6962, which share no code with what checks them.
 */
import type { KeyObject } from "node:crypto";
import { formatCheckpoint } from "#proto/ledger/checkpoint.ts";
import { ReferenceTree, someLeafHashes } from "#proto/ledger/reference-tree.ts";
import { formatVerifierKey, generateLedgerKey, noteSigner, publicKeyOf, signNote } from "#proto/ledger/signed-note.ts";
import { formatLogOrigin } from "#proto/log-origin.ts";

export const deployment = "test";

export type LedgerChange = {
  readonly key?: KeyObject;
  readonly generation?: number;
  /** The leaves from this one on are others. */
  readonly rewrittenFrom?: number;
  readonly leaves?: number;
};

export class ScriptedLedger {
  readonly shardId: number;
  readonly key: KeyObject;
  readonly generation: number;
  readonly #leafHashes: readonly Buffer[];
  readonly #tree: ReferenceTree;

  constructor(shardId: number, { key, generation, rewrittenFrom, leaves = 300 }: LedgerChange = {}) {
    this.shardId = shardId;
    this.key = key ?? generateLedgerKey();
    this.generation = generation ?? 1;
    const own = someLeafHashes(leaves);
    const others = someLeafHashes(2 * leaves).slice(leaves);
    this.#leafHashes = own.map(
      (hash, i) => (rewrittenFrom !== undefined && i >= rewrittenFrom ? others[i] : hash) ?? hash,
    );
    this.#tree = new ReferenceTree(this.#leafHashes);
  }

  /** The same shard's, with the same key unless changed. */
  changed(change: LedgerChange): ScriptedLedger {
    return new ScriptedLedger(this.shardId, { key: this.key, generation: this.generation, ...change });
  }

  get origin(): string {
    return formatLogOrigin({ deployment, shardId: this.shardId, generation: this.generation });
  }

  get verifierKey(): string {
    return formatVerifierKey(this.origin, publicKeyOf(this.key));
  }

  /** The signed checkpoint of the first leaves. */
  note(size: number, origin = this.origin): Buffer {
    const text = formatCheckpoint({ origin, size, root: this.#tree.root(0, size), extensions: [] });
    return signNote(text, noteSigner(origin, this.key));
  }

  consistency(oldSize: number, newSize: number): Buffer[] {
    return this.#tree.subproof(oldSize, 0, newSize, true);
  }
}
