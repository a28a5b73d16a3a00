/** The tiles that a batch has filled, stored by binary COPY: eight kilobytes for 256 votes. */
import type pg from "pg";
import type { FullTile } from "#proto/ledger/tree-frontier.ts";
import { CopyRows, fieldHeadBytes, rowHeadBytes } from "./copy-rows.ts";

const columns = "level, tile_index, root, hashes";
const fields = 4;

/** Pipelined: the caller's COMMIT says whether they are stored. */
export function copyTiles(client: pg.Client, tiles: readonly FullTile[]): Promise<void> {
  const headBytes = rowHeadBytes + fields * fieldHeadBytes + 2 + 8;
  const bytes = tiles.reduce((sum, { root, hashes }) => sum + headBytes + root.length + hashes.length, 0);
  const rows = new CopyRows(bytes);
  for (const { level, index, root, hashes } of tiles) {
    rows.startRow(fields);
    rows.int2(level);
    rows.int8(index);
    rows.bytes(root);
    rows.bytes(hashes);
  }
  return rows.copyInto(client, "urna.tiles", columns);
}
