/**
 * Reads every row of every partition of urna.votes in physical order, some megabytes at a time, so that no snapshot is held for
 * long: a standby stops replaying rather than disturb a snapshot. Of several partitions, the one whose rows are furthest back
 * in the log is read next, so that elections that were open together meet in the window.
 */
import type pg from "pg";
import { copyOut, type RowHandler } from "./copy-out.ts";
import { readInt8 } from "./field-cursor.ts";
import { leafAt, voteColumns } from "./vote-row.ts";

/** 16 MB: a tenth of a second on one core. */
const pagesPerRead = 2_048;
const pagesPerReadMin = 64;

export type Partition = {
  /** Quoted, with its schema. */
  readonly table: string;
  /** Undefined for a table that is not named as Urna names them. */
  readonly electionNumber: number | undefined;
  readonly pages: number;
  /** Names the file that holds it: another one after a rewrite of the table. */
  readonly fileNode: string;
};

/** All tables that hold votes, also such as no election names. */
export async function listPartitions(client: pg.Client): Promise<Partition[]> {
  const { rows } = await client.query<{ schema: string; name: string; pages: string; file_node: string }>(
    `SELECT n.nspname AS schema, c.relname AS name, pg_relation_size(c.oid) / current_setting('block_size')::int AS pages,
            pg_relation_filenode(c.oid)::text AS file_node
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE i.inhparent = 'urna.votes'::regclass ORDER BY c.oid`,
  );
  return rows.map(({ schema, name, pages, file_node }) => {
    const number = /^votes_(\d{1,9})$/.exec(name)?.[1];
    return {
      table: `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`,
      electionNumber: number === undefined ? undefined : Number(number),
      pages: Number(pages),
      fileNode: file_node,
    };
  });
}

type Reading = { readonly partition: Partition; nextPage: number; leaf: number };

export class VoteScan {
  readonly #client: pg.Client;
  readonly #readings: Reading[];

  /** `firstPages` says where to begin in a partition, by its table; `leafOf` where in the log its rows begin, about. */
  constructor(
    client: pg.Client,
    partitions: readonly Partition[],
    leafOf: (partition: Partition) => number,
    firstPages: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#client = client;
    this.#readings = partitions.map((partition) => ({
      partition,
      nextPage: firstPages.get(partition.table) ?? 0,
      leaf: leafOf(partition),
    }));
  }

  get isDone(): boolean {
    return this.#readings.length === 0;
  }

  /** Reads the next piece. */
  async read(onRow: RowHandler): Promise<void> {
    const reading = this.#readings.reduce((a, b) => (b.leaf < a.leaf ? b : a));
    const { partition, nextPage } = reading;
    const pages = Math.max(pagesPerReadMin, Math.floor(pagesPerRead / this.#together(reading.leaf)));
    const endPage = nextPage + pages;
    const isLast = endPage >= partition.pages;
    // The last piece has no end: the table grows.
    const end = isLast ? "" : `AND ctid < '(${endPage},0)'`;
    const select = `SELECT ${voteColumns} FROM ONLY ${partition.table} WHERE ctid >= '(${nextPage},0)' ${end}`;
    await copyOut(this.#client, select, (row) => {
      onRow(row);
      if (row.length >= leafAt + 8) reading.leaf = Math.max(reading.leaf, readInt8(row, leafAt));
    });
    reading.nextPage = endPage;
    if (isLast) this.#readings.splice(this.#readings.indexOf(reading), 1);
  }

  /** How many partitions have come as far as this leaf: what is read of each waits for the others. */
  #together(leaf: number): number {
    return this.#readings.filter((reading) => reading.nextPage > 0 || reading.leaf <= leaf).length;
  }
}
