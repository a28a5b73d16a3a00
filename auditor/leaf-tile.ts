/** What 256 neighbouring leaves were made of, filled in any order. Hashes are written straight into it. */
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { tileWidth } from "#proto/ledger/tiles.ts";
import { nullifierBytes } from "#proto/limits.ts";
import type { BallotKind } from "./ballot-kind.ts";
import { nullifierAt } from "./vote-row.ts";

export class LeafTile {
  readonly hashes = Buffer.alloc(tileWidth * hashBytes);
  readonly nullifiers = Buffer.alloc(tileWidth * nullifierBytes);
  readonly batches = new Float64Array(tileWidth);
  /** Undefined where no row was seen. */
  readonly kinds: (BallotKind | undefined)[] = new Array<BallotKind | undefined>(tileWidth).fill(undefined);
  #count = 0;

  /** How many of its leaves have a row. */
  get count(): number {
    return this.#count;
  }

  has(slot: number): boolean {
    return this.kinds[slot] !== undefined;
  }

  /** The row whose hash has been written. The slot must be free. */
  put(slot: number, row: Buffer, batch: number, kind: BallotKind): void {
    const at = slot * nullifierBytes;
    for (let i = 0; i < nullifierBytes; i++) this.nullifiers[at + i] = row[nullifierAt + i] as number;
    this.batches[slot] = batch;
    this.kinds[slot] = kind;
    this.#count += 1;
  }

  /** For the next 256 leaves. */
  clear(): void {
    this.kinds.fill(undefined);
    this.#count = 0;
  }
}
