/**
 * The right edge of an append-only RFC 6962 tree: all that it takes to add leaves and to know the root. Tiles that have
 * become full are handed out and forgotten, so a tree of any size takes a few kilobytes.
 */
import { GrowingTile } from "#proto/ledger/growing-tile.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { emptyRoot, hashBytes } from "#proto/ledger/merkle-hash.ts";
import { partialWidth, tileLevelsMax, tileWidth } from "#proto/ledger/tiles.ts";

/** 256 hashes that nothing will change any more, and the root over them. */
export type FullTile = {
  readonly level: number;
  readonly index: number;
  /** 8,192 bytes */
  readonly hashes: Buffer;
  readonly root: Buffer;
};

export class TreeFrontier {
  #size = 0;
  /** By level; every level has one, but only the lowest few hold anything. */
  readonly #tiles: GrowingTile[] = [];

  private constructor() {}

  static empty(): TreeFrontier {
    return new TreeFrontier();
  }

  /**
   * The frontier of a tree of `size` leaves. `partials` are, by level, the hashes of the tile that is not full yet; levels
   * at the end may be left out where they have none. Throws LedgerFormatError when they do not fit the size.
   */
  static restore(size: number, partials: readonly Buffer[]): TreeFrontier {
    if (!Number.isSafeInteger(size) || size < 0) throw new LedgerFormatError(`${size} is not a size of a tree`);
    const frontier = new TreeFrontier();
    frontier.#size = size;
    for (let level = 0; level < Math.max(tileLevelsMax, partials.length); level++) {
      const partial = partials[level] ?? Buffer.alloc(0);
      demandWidth(size, level, partial);
      if (partial.length > 0) frontier.#tile(level).fill(partial, 0);
    }
    return frontier;
  }

  get size(): number {
    return this.#size;
  }

  /** Costs one hash for each bit that is set in the size, less one. */
  get root(): Buffer {
    let root: string | undefined;
    for (const tile of this.#tiles) root = tile.fold(root);
    return root === undefined ? Buffer.from(emptyRoot) : Buffer.from(root, "latin1");
  }

  /** A copy of the hashes of the tile of this level that is not full yet; empty when there is none. */
  partial(level: number): Buffer {
    return this.#tiles[level]?.hashes ?? Buffer.alloc(0);
  }

  /** Adds leaf hashes, 32 bytes each, and answers the tiles that became full, each after those that it is made of. */
  append(leafHashes: Buffer): FullTile[] {
    if (leafHashes.length % hashBytes !== 0) throw new RangeError(`append: ${leafHashes.length} bytes of leaf hashes`);
    if (this.#size + leafHashes.length / hashBytes > Number.MAX_SAFE_INTEGER) throw new RangeError("append: tree full");
    const full: FullTile[] = [];
    for (let offset = 0; offset < leafHashes.length; ) {
      const added = this.#tile(0).fill(leafHashes, offset);
      this.#size += added;
      offset += added * hashBytes;
      this.#takeFull(full);
    }
    return full;
  }

  /** A frontier that grows on its own: a batch that is not stored in the end must leave no trace in the writer's. */
  clone(): TreeFrontier {
    const copy = new TreeFrontier();
    copy.#size = this.#size;
    for (const tile of this.#tiles) copy.#tiles.push(tile.clone());
    return copy;
  }

  /** Carries the root of a full tile into the level above, where it may fill the next. */
  #takeFull(full: FullTile[]): void {
    for (let level = 0; this.#tile(level).width === tileWidth; level++) {
      const { hashes, root } = this.#tile(level).take();
      const index = Math.floor(this.#size / tileWidth ** (level + 1)) - 1;
      full.push({ level, index, hashes, root: Buffer.from(root, "latin1") });
      this.#tile(level + 1).push(root);
    }
  }

  #tile(level: number): GrowingTile {
    for (;;) {
      const tile = this.#tiles[level];
      if (tile !== undefined) return tile;
      this.#tiles.push(new GrowingTile());
    }
  }
}

function demandWidth(size: number, level: number, partial: Buffer): void {
  const bytes = partialWidth(size, level) * hashBytes;
  if (partial.length === bytes) return;
  throw new LedgerFormatError(
    `a tree of ${size} leaves has ${bytes} bytes in the partial tile of level ${level}, but ${partial.length} were stored`,
  );
}
