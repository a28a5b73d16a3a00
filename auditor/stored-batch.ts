/** A row of the batch log, as it is stored. */
import type pg from "pg";
import { copyOut } from "./copy-out.ts";
import { FieldCursor } from "./field-cursor.ts";

/** Column by column: n[i] is what cell cells[i] of region regions[i] in election elections[i] grew by. */
export type StoredCounts = {
  readonly elections: Int32Array;
  readonly regions: Int32Array;
  readonly cells: Int32Array;
  readonly n: Int32Array;
};

export type StoredBatch = {
  readonly number: number;
  readonly writerEpoch: number;
  readonly stampMs: number;
  readonly votes: number;
  /** Of the log after it. */
  readonly treeSize: number;
  /** JSON; undefined in a batch that is not a control batch. */
  readonly control: string | undefined;
  /** Undefined where the arrays do not fit each other. */
  readonly counts: StoredCounts | undefined;
  readonly root: Buffer;
  readonly leafNullifiers: Buffer;
  readonly tailHashes: Buffer;
};

const columns = `number, writer_epoch, stamp, votes, tree_size, control::text,
  count_election, count_region, count_cell, count_n, root, leaf_nullifiers, tail_hashes`;

/** The batches after one, in the order of their numbers. */
export async function readBatches(
  client: pg.Client,
  after: number,
  through: number,
  limit: number,
): Promise<StoredBatch[]> {
  const batches: StoredBatch[] = [];
  const select = `SELECT ${columns} FROM urna.batches WHERE number > ${after} AND number <= ${through} ORDER BY number LIMIT ${limit}`;
  await copyOut(client, select, (row) => batches.push(batchOf(row)));
  return batches;
}

function batchOf(row: Buffer): StoredBatch {
  const fields = new FieldCursor(row);
  const number = fields.int8();
  const writerEpoch = fields.int8();
  const stampMs = fields.timeMs();
  const votes = fields.int4();
  const treeSize = fields.int8();
  const control = fields.text();
  const counts = countsOf(fields.int4Array(), fields.int4Array(), fields.int4Array(), fields.int4Array());
  const [root, leafNullifiers, tailHashes] = [fields.bytes(), fields.bytes(), fields.bytes()];
  return { number, writerEpoch, stampMs, votes, treeSize, control, counts, root, leafNullifiers, tailHashes };
}

function countsOf(...arrays: readonly (Int32Array | undefined)[]): StoredCounts | undefined {
  const [elections, regions, cells, n] = arrays;
  if (elections === undefined || regions === undefined || cells === undefined || n === undefined) return undefined;
  const isEven = regions.length === n.length && cells.length === n.length && elections.length === n.length;
  return isEven ? { elections, regions, cells, n } : undefined;
}
