/** Rows of leaves that are sought one by one: the batch of a leaf names its voter, by whom the row is found. */
import type pg from "pg";
import { nullifierBytes } from "#proto/limits.ts";
import { copyOut, type RowHandler } from "./copy-out.ts";
import { FieldCursor } from "./field-cursor.ts";
import { voteColumns } from "./vote-row.ts";

/** The nullifiers, as hex, that the batches name for these leaves, which are in ascending order. */
export async function namedVoters(client: pg.Client, leaves: readonly number[]): Promise<string[]> {
  const [first, last] = [leaves[0], leaves.at(-1)];
  if (first === undefined || last === undefined) return [];
  const wanted = new Set(leaves);
  const voters: string[] = [];
  const select = `SELECT tree_size - votes, leaf_nullifiers FROM urna.batches
    WHERE votes > 0 AND tree_size > ${first} AND tree_size - votes <= ${last} ORDER BY tree_size LIMIT ${last - first + 1}`;
  await copyOut(client, select, (row) => {
    const fields = new FieldCursor(row);
    const firstLeaf = fields.int8();
    const named = fields.bytes();
    for (let at = 0; at + nullifierBytes <= named.length; at += nullifierBytes) {
      const leaf = firstLeaf + at / nullifierBytes;
      if (wanted.has(leaf)) voters.push(named.toString("hex", at, at + nullifierBytes));
    }
  });
  return voters;
}

/** Rows of these voters, whatever the election. `tables` are quoted. */
export async function lookUpRows(
  client: pg.Client,
  tables: readonly string[],
  voters: readonly string[],
  onRow: RowHandler,
): Promise<void> {
  if (voters.length === 0) return;
  const list = voters.map((voter) => `'${voter}'`).join(", ");
  for (const table of tables) {
    await copyOut(client, `SELECT ${voteColumns} FROM ONLY ${table} WHERE nullifier IN (${list})`, onRow);
  }
}
