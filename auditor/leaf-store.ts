/** The leaf hashes that are stored: in full tiles, and behind the last of these in the batches that added them. */
import type pg from "pg";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { partialWidth, tileWidth } from "#proto/ledger/tiles.ts";
import { copyOut } from "./copy-out.ts";
import { FieldCursor } from "./field-cursor.ts";
import { type StoredTile, StoredTiles } from "./stored-tiles.ts";

/** Each batch with votes has added at least one leaf of the last tile. */
const tailBatchesMax = tileWidth;

type Tail = { readonly batch: number; readonly endLeaf: number };

/** Stored hashes of a tile; where one is not known, `known` has 0 at its slot. */
export type StoredLeaves = { readonly hashes: Buffer; readonly known: Uint8Array };

export class LeafStore {
  readonly tiles: StoredTiles;
  /** The leaves from here on are in no full tile. */
  readonly tailStart: number;
  readonly #tails: readonly Tail[];
  readonly #tail: StoredLeaves;

  private constructor(tiles: StoredTiles, tailStart: number, tails: readonly Tail[], tail: StoredLeaves) {
    this.tiles = tiles;
    this.tailStart = tailStart;
    this.#tails = tails;
    this.#tail = tail;
  }

  /** Of the first `endLeaf` leaves, which the log has with batch `throughBatch`. */
  static async open(client: pg.Client, throughBatch: number, endLeaf: number): Promise<LeafStore> {
    const tailStart = endLeaf - partialWidth(endLeaf, 0);
    const tails: Tail[] = [];
    const tail = { hashes: Buffer.alloc(tileWidth * hashBytes), known: new Uint8Array(tileWidth) };
    const select = `SELECT number, tree_size, tail_hashes FROM urna.batches
      WHERE votes > 0 AND tree_size > ${tailStart} AND number <= ${throughBatch} ORDER BY tree_size LIMIT ${tailBatchesMax}`;
    await copyOut(client, select, (row) => {
      const fields = new FieldCursor(row);
      const [batch, treeSize, hashes] = [fields.int8(), fields.int8(), fields.bytes()];
      tails.push({ batch, endLeaf: treeSize });
      const first = treeSize - Math.floor(hashes.length / hashBytes);
      for (let leaf = Math.max(first, tailStart); leaf < Math.min(treeSize, endLeaf); leaf++) {
        const at = (leaf - first) * hashBytes;
        hashes.copy(tail.hashes, (leaf - tailStart) * hashBytes, at, at + hashBytes);
        tail.known[leaf - tailStart] = 1;
      }
    });
    return new LeafStore(new StoredTiles(client), tailStart, tails, tail);
  }

  /** Undefined where there is no such tile though the leaves would fill it. */
  async leavesOf(tileIndex: number): Promise<StoredLeaves | undefined> {
    if (tileIndex * tileWidth === this.tailStart) return this.#tail;
    const tile = await this.tiles.ofLeaves(tileIndex);
    return tile === undefined || !isWhole(tile) ? undefined : { hashes: tile.hashes, known: allKnown };
  }

  /** The batch that keeps the hash of a leaf beyond `tailStart`. */
  batchOfTail(leaf: number): number | undefined {
    return this.#tails.find(({ endLeaf }) => endLeaf > leaf)?.batch;
  }
}

const allKnown = new Uint8Array(tileWidth).fill(1);

export function isWhole({ hashes, root }: StoredTile): boolean {
  return hashes.length === tileWidth * hashBytes && root.length === hashBytes;
}
