/** The tiles of the tree, as they are stored. Those of leaves are read ahead in pieces; of the others there are few. */
import type pg from "pg";
import { copyOut } from "./copy-out.ts";
import { FieldCursor } from "./field-cursor.ts";

export type StoredTile = { readonly hashes: Buffer; readonly root: Buffer };

/** Two megabytes of hashes. */
const tilesPerRead = 256;

export class StoredTiles {
  readonly #client: pg.Client;
  #first = 0;
  #end = 0;
  #tiles = new Map<number, StoredTile>();

  constructor(client: pg.Client) {
    this.#client = client;
  }

  /** The hashes of 256 leaves, asked for in ascending order; undefined where there is no such tile. */
  async ofLeaves(index: number): Promise<StoredTile | undefined> {
    if (index < this.#first || index >= this.#end) {
      this.#tiles = await readTiles(this.#client, 0, index, index + tilesPerRead);
      this.#first = index;
      this.#end = index + tilesPerRead;
    }
    return this.#tiles.get(index);
  }

  async ofRoots(level: number, index: number): Promise<StoredTile | undefined> {
    return (await readTiles(this.#client, level, index, index + 1)).get(index);
  }
}

async function readTiles(
  client: pg.Client,
  level: number,
  first: number,
  end: number,
): Promise<Map<number, StoredTile>> {
  const tiles = new Map<number, StoredTile>();
  const select = `SELECT tile_index, hashes, root FROM urna.tiles
    WHERE level = ${level} AND tile_index >= ${first} AND tile_index < ${end} ORDER BY tile_index`;
  await copyOut(client, select, (row) => {
    const fields = new FieldCursor(row);
    const index = fields.int8();
    tiles.set(index, { hashes: fields.bytes(), root: fields.bytes() });
  });
  return tiles;
}
