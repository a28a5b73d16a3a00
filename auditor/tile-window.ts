/**
 * Assembles leaves, which come in the order of the table's pages, into tiles in the order of the log. Held are tiles that lack
 * leaves, and those behind them: pages are nearly in leaf order, so that is what a few pages hold. A row that stands far
 * from its place (each UPDATE moves its row to the end) would make everything behind it wait: of more than `tilesMax` tiles
 * the first one is handed out incomplete, and whoever takes it looks its rows up.
 */
import { tileWidth } from "#proto/ledger/tiles.ts";
import { LeafTile } from "./leaf-tile.ts";

/** Tiles that are held at once: 2 million leaves, about 130 MB. */
const tilesHeldMax = 8_192;
/** Empty tiles kept for use again. */
const spareMax = 512;

export class TileWindow {
  /** The first and, excluded, the last of the leaves that are awaited. */
  readonly firstLeaf: number;
  readonly endLeaf: number;
  readonly #tilesMax: number;
  readonly #tiles = new Map<number, LeafTile>();
  readonly #spare: LeafTile[] = [];
  #next: number;
  #last: LeafTile | undefined;
  #lastIndex = -1;

  constructor(firstLeaf: number, endLeaf: number, tilesMax = tilesHeldMax) {
    this.firstLeaf = firstLeaf;
    this.endLeaf = endLeaf;
    this.#tilesMax = tilesMax;
    this.#next = Math.floor(firstLeaf / tileWidth);
  }

  /** The tile that is taken next. */
  get next(): number {
    return this.#next;
  }

  get held(): number {
    return this.#tiles.size;
  }

  get isDone(): boolean {
    return this.#next * tileWidth >= this.endLeaf;
  }

  /** The tile of an awaited leaf; undefined when it has been taken. */
  tileOf(leaf: number): LeafTile | undefined {
    const index = Math.floor(leaf / tileWidth);
    if (index === this.#lastIndex) return this.#last;
    if (index < this.#next) return undefined;
    let tile = this.#tiles.get(index);
    if (tile === undefined) {
      tile = this.#spare.pop() ?? new LeafTile();
      this.#tiles.set(index, tile);
    }
    this.#lastIndex = index;
    this.#last = tile;
    return tile;
  }

  /** The first and, excluded, the last slot of a tile that are awaited. */
  slotsOf(index: number): readonly [first: number, end: number] {
    const start = index * tileWidth;
    return [Math.max(0, this.firstLeaf - start), Math.min(tileWidth, this.endLeaf - start)];
  }

  /** Whether every leaf of the next tile has its row. */
  get isNextComplete(): boolean {
    const [first, end] = this.slotsOf(this.#next);
    return this.#tiles.get(this.#next)?.count === end - first;
  }

  /** Whether so much waits for the next tile that it must go, complete or not. */
  get isOverfull(): boolean {
    return this.#tiles.size > this.#tilesMax;
  }

  /** The next tile, as it is; it has to be given back. */
  takeNext(): LeafTile {
    const tile = this.#tiles.get(this.#next);
    this.#tiles.delete(this.#next);
    if (this.#lastIndex === this.#next) this.#lastIndex = -1;
    this.#next += 1;
    return tile ?? this.#spare.pop() ?? new LeafTile();
  }

  /** A tile that was taken and is not needed any more. */
  giveBack(tile: LeafTile): void {
    if (this.#spare.length >= spareMax) return;
    tile.clear();
    this.#spare.push(tile);
  }
}
