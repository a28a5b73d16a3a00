/**
 * The tree as it is stored: full tiles, and the leaf hashes of the last one, which is not full, in the batches that added
 * them. Whatever is asked for, of a tree of any size, takes a few hundred small rows a level at the most.
 */
import type pg from "pg";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { TileProofs } from "#proto/ledger/tile-proofs.ts";
import { partialWidth, tileLevelsMax, tileWidth } from "#proto/ledger/tiles.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";

/** Proofs of a tree that is stored and durable. */
export function storedProofs(client: pg.Client): TileProofs {
  return new TileProofs((level, index, width) => readTile(client, level, index, width));
}

/** The tree's right edge at this size. Throws LedgerFormatError when the tables do not hold so many leaves. */
export async function readTree(client: pg.Client, size: number): Promise<TreeFrontier> {
  const partials: Buffer[] = [];
  for (let level = 0; level < tileLevelsMax; level++) {
    const width = partialWidth(size, level);
    const index = Math.floor(size / tileWidth ** (level + 1));
    partials.push(width === 0 ? Buffer.alloc(0) : await readTile(client, level, index, width));
  }
  return TreeFrontier.restore(size, partials);
}

/** The first `width` hashes of a tile. */
async function readTile(client: pg.Client, level: number, index: number, width: number): Promise<Buffer> {
  const full = await readFullTile(client, level, index);
  const hashes = full ?? (level === 0 ? await readTail(client, index) : await readRoots(client, level, index, width));
  if (hashes.length < width * hashBytes) {
    throw new LedgerFormatError(`tile ${index} of level ${level} holds fewer hashes than its tree has`);
  }
  return hashes.subarray(0, width * hashBytes);
}

async function readFullTile(client: pg.Client, level: number, index: number): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ hashes: Buffer }>({
    name: "full-tile",
    text: "SELECT hashes FROM urna.tiles WHERE level = $1 AND tile_index = $2",
    values: [level, index],
  });
  return rows[0]?.hashes;
}

/** Each batch with votes has added at least one leaf, so there are fewer of them than a tile has leaves. */
async function readTail(client: pg.Client, index: number): Promise<Buffer> {
  const { rows } = await client.query<{ tail_hashes: Buffer }>({
    name: "tail-hashes",
    text: `SELECT tail_hashes FROM urna.batches WHERE votes > 0 AND tree_size > $1 ORDER BY tree_size LIMIT ${tileWidth}`,
    values: [index * tileWidth],
  });
  return Buffer.concat(rows.map(({ tail_hashes }) => tail_hashes));
}

async function readRoots(client: pg.Client, level: number, index: number, width: number): Promise<Buffer> {
  const { rows } = await client.query<{ root: Buffer }>({
    name: "tile-roots",
    text: "SELECT root FROM urna.tiles WHERE level = $1 AND tile_index >= $2 ORDER BY tile_index LIMIT $3",
    values: [level - 1, index * tileWidth, width],
  });
  return Buffer.concat(rows.map(({ root }) => root));
}
