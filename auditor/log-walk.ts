/**
 * Walks a shard's log from leaf to leaf: takes tiles as the window completes them, cuts them at batches and signed sizes, and
 * has each part checked. Everything that depends on the order of the log happens here; all else has happened to the row before.
 */
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { partialWidth, tileWidth } from "#proto/ledger/tiles.ts";
import type { FullTile, TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import type { AuditedElection } from "./audited-election.ts";
import { BatchChain, type ChainStart, type LogBatch } from "./batch-chain.ts";
import type { BatchFeed } from "./batch-feed.ts";
import { ControlCheck } from "./control-check.ts";
import type { FindingBook } from "./finding-book.ts";
import { LeafCheck } from "./leaf-check.ts";
import { isWhole, type LeafStore } from "./leaf-store.ts";
import type { LeafTile } from "./leaf-tile.ts";
import { RootWatch } from "./root-watch.ts";
import type { SignedSize } from "./signed-size.ts";
import { TreeCheck, type Verdict } from "./tree-check.ts";

export type WalkOptions = {
  readonly shardId: number;
  readonly generation: number;
  readonly findings: FindingBook;
  readonly elections: ReadonlyMap<number, AuditedElection>;
  readonly feed: BatchFeed;
  readonly store: LeafStore;
  readonly signed: readonly SignedSize[];
  readonly start: ChainStart;
  /** The tree of the leaves before; undefined: from the beginning. */
  readonly tree: TreeFrontier | undefined;
  readonly endLeaf: number;
};

export type WalkEnd = {
  /** The last batch, from which a later walk can go on. */
  readonly last: ChainStart;
  /** Undefined where it could not be made. */
  readonly tree: TreeFrontier | undefined;
  readonly signedLeaves: number;
};

export class LogWalk {
  readonly #options: WalkOptions;
  readonly #chain: BatchChain;
  readonly #leaves: LeafCheck;
  readonly #controls: ControlCheck;
  readonly #tree: TreeCheck;
  readonly #roots: RootWatch;
  #batch: LogBatch | undefined;
  /** Leaves without a row, side by side. */
  #missing: { readonly first: number; last: number } | undefined;

  constructor(options: WalkOptions) {
    const { shardId, findings, feed, start, endLeaf, elections, tree, signed, generation } = options;
    this.#options = options;
    this.#chain = new BatchChain(feed, findings, shardId, start, endLeaf);
    this.#leaves = new LeafCheck(shardId, findings, elections);
    this.#controls = new ControlCheck(shardId, findings, start.number, elections);
    this.#tree = new TreeCheck(tree);
    const onVerdict = (verdict: Verdict, because: string) => this.#convict(verdict, because);
    this.#roots = new RootWatch({ shardId, findings, tree: this.#tree, signed, generation, onVerdict });
    this.#roots.checkSigned();
  }

  /** Leaves walked so far, those before the start included. */
  get leaves(): number {
    return this.#tree.size;
  }

  /** The next tile, of which some leaves may have no row: they are missing then. */
  async take(tile: LeafTile, index: number, slots: readonly [first: number, end: number]): Promise<void> {
    const [first, end] = slots;
    const stored = await this.#storedHashes(tile, index, first, end);
    const firstLeaf = index * tileWidth;
    for (let from = first; from < end; ) {
      const batch = await this.#batchOf(firstLeaf + from);
      const limit = Math.min(batch?.endLeaf ?? Number.POSITIVE_INFINITY, this.#roots.nextSize);
      const to = Math.min(end, limit - firstLeaf);
      if (batch !== undefined) this.#leaves.check(batch, tile, firstLeaf, from, to);
      await this.#grow(tile.hashes, stored, from, to);
      this.#roots.checkSigned();
      if (batch !== undefined && this.#tree.size >= batch.endLeaf) this.#endBatch(batch);
      from = to;
    }
  }

  /** Whether the leaf hashes of a tile are stored. */
  async hasStored(index: number): Promise<boolean> {
    return (await this.#options.store.leavesOf(index))?.known.includes(1) === true;
  }

  /** Of all leaves from here on there is neither row nor hash. */
  giveUp(leaf: number, endLeaf: number): void {
    this.#endMissing();
    this.#missing = { first: leaf, last: endLeaf - 1 };
    this.#tree.loseLeaf();
  }

  /** After the last tile: the batches that have no votes at the end of the log, and what is still open. */
  async finish(): Promise<WalkEnd> {
    while ((await this.#batchOf(this.#tree.size)) !== undefined) this.#batch = undefined;
    this.#endMissing();
    this.#roots.finish();
    this.#controls.finish(this.#chain.last.number);
    return { last: this.#chain.last, tree: this.#tree.tree, signedLeaves: this.#roots.signedLeaves };
  }

  /** The batch that the leaf is of. Batches before it that have no votes end on the way. */
  async #batchOf(leaf: number): Promise<LogBatch | undefined> {
    for (;;) {
      this.#batch ??= await this.#nextBatch();
      if (this.#batch === undefined || this.#batch.endLeaf > leaf) return this.#batch;
      this.#endBatch(this.#batch);
    }
  }

  async #nextBatch(): Promise<LogBatch | undefined> {
    const batch = await this.#chain.next();
    if (batch?.stored?.control !== undefined) this.#controls.note(batch.number, batch.stored.control);
    return batch;
  }

  #endBatch(batch: LogBatch): void {
    this.#batch = undefined;
    this.#leaves.endBatch(batch);
    this.#roots.checkBatch(batch);
    if (batch.stored !== undefined && this.#tree.isCertain) this.#checkTail(batch, batch.stored.tailHashes);
  }

  /** The hashes that a batch keeps are those of its leaves that were in no full tile after it. */
  #checkTail(batch: LogBatch, kept: Buffer): void {
    // Those behind the last full tile are what the leaves have been compared with.
    if (batch.endLeaf > this.#options.store.tailStart) return;
    const count = Math.min(batch.endLeaf - batch.firstLeaf, partialWidth(batch.endLeaf, 0));
    if (count === 0 && kept.length === 0) return;
    const tail = this.#tree.tail();
    if (kept.equals(tail.subarray(tail.length - count * hashBytes))) return;
    this.#found(
      "TAIL_CHANGED",
      { leaf: batch.endLeaf - count, throughLeaf: batch.endLeaf - 1, batch: batch.number },
      tailText,
    );
  }

  /** The stored hashes of the leaves; where one is not stored, the row's, and where a row is missing, the stored one for both. */
  async #storedHashes(tile: LeafTile, index: number, first: number, end: number): Promise<Buffer> {
    const stored = await this.#options.store.leavesOf(index);
    if (stored === undefined) this.#tileMissing(0, index);
    if (stored?.known.every(isKnown) === true && tile.count === end - first) return stored.hashes;
    const hashes = Buffer.from(tile.hashes);
    for (let slot = first; slot < end; slot++) {
      const at = slot * hashBytes;
      const known = stored !== undefined && isKnown(stored.known[slot] ?? 0);
      if (known) stored.hashes.copy(hashes, at, at, at + hashBytes);
      if (tile.has(slot)) continue;
      this.#noteMissing(index * tileWidth + slot);
      if (known) stored.hashes.copy(tile.hashes, at, at, at + hashBytes);
      else this.#tree.loseLeaf();
    }
    return hashes;
  }

  async #grow(rows: Buffer, stored: Buffer, from: number, to: number): Promise<void> {
    const [start, end] = [from * hashBytes, to * hashBytes];
    const full = this.#tree.append(rows.subarray(start, end), stored.subarray(start, end));
    for (const [i, ofStore] of full.stored.entries()) await this.#compareTile(ofStore, full.rows[i] ?? ofStore);
  }

  /** A tile as it follows from the stored leaf hashes, and as it follows from the rows: it must be stored as one of the two. */
  async #compareTile(ofStore: FullTile, ofRows: FullTile): Promise<void> {
    const { level, index } = ofStore;
    const { tiles } = this.#options.store;
    if (this.#tree.isBlind) return;
    const tile = await (level === 0 ? tiles.ofLeaves(index) : tiles.ofRoots(level, index));
    if (tile === undefined || !isWhole(tile)) {
      if (level > 0) this.#tileMissing(level, index);
      return;
    }
    const matches = ({ hashes, root }: FullTile) =>
      (level === 0 || tile.hashes.equals(hashes)) && tile.root.equals(root);
    if (matches(ofStore) || matches(ofRows)) return;
    this.#found("TILE_CHANGED", tileSpan(level, index), `tile ${index} of level ${level} is not what the leaves give`);
  }

  #tileMissing(level: number, index: number): void {
    this.#found("TILE_CHANGED", tileSpan(level, index), `tile ${index} of level ${level} is missing`);
  }

  #convict({ kind, leaves }: Verdict, because: string): void {
    const { store } = this.#options;
    if (kind === "rows-changed") {
      for (const leaf of leaves)
        this.#found("ROW_CHANGED", { leaf }, `its row does not give the leaf hash that is stored (${because})`);
      return;
    }
    const tiles = new Set(leaves.filter((leaf) => leaf < store.tailStart).map((leaf) => Math.floor(leaf / tileWidth)));
    for (const leaf of leaves) {
      const batch = store.batchOfTail(leaf);
      const at = batch === undefined ? {} : { batch };
      if (leaf >= store.tailStart) this.#found("TAIL_CHANGED", { leaf, ...at }, tailText);
    }
    for (const index of tiles) {
      const changed = leaves.filter((leaf) => Math.floor(leaf / tileWidth) === index);
      const detail = `tile ${index} of level 0 has another hash for leaf ${changed.join(", ")} than its row gives (${because})`;
      this.#found("TILE_CHANGED", { leaf: changed[0] ?? 0, throughLeaf: changed.at(-1) ?? 0 }, detail);
    }
  }

  #noteMissing(leaf: number): void {
    if (this.#missing?.last === leaf - 1) this.#missing.last = leaf;
    else {
      this.#endMissing();
      this.#missing = { first: leaf, last: leaf };
    }
  }

  #endMissing(): void {
    const missing = this.#missing;
    this.#missing = undefined;
    if (missing === undefined) return;
    const { first, last } = missing;
    this.#found(
      "ROW_MISSING",
      { leaf: first, throughLeaf: last },
      first === last ? "it has no row" : "they have no rows",
    );
  }

  #found(
    kind: "ROW_CHANGED" | "ROW_MISSING" | "TILE_CHANGED" | "TAIL_CHANGED",
    where: { readonly leaf: number; readonly throughLeaf?: number; readonly batch?: number },
    detail: string,
  ): void {
    this.#options.findings.add({ kind, shardId: this.#options.shardId, ...where, detail });
  }
}

const tailText = "the batch keeps other leaf hashes than its leaves have";

/** The leaves under a tile. */
function tileSpan(level: number, index: number): { leaf: number; throughLeaf: number } {
  const width = tileWidth ** (level + 1);
  return { leaf: index * width, throughLeaf: (index + 1) * width - 1 };
}

function isKnown(known: number): boolean {
  return known === 1;
}
