/** Counts from the stored batch log and from the stored votes. Reads only; never on the writer's connection. */
import type pg from "pg";
import { ballotCounts, type ElectionShape } from "#proto/election-shape.ts";
import type { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { CountDeltas } from "./batch.ts";
import type { FeedChange } from "./count-feed.ts";

type CountRow = {
  readonly election_number: number;
  readonly region: number;
  readonly cell: number;
  readonly n: string;
};

export type StoredCounts = { readonly deltas: CountDeltas; readonly changes: readonly FeedChange[] };

/** The sum of the batches after `afterBatch` up to `throughBatch`; from the beginning it starts at the newest snapshot. */
export async function readCounts(client: pg.Client, afterBatch: number, throughBatch: number): Promise<StoredCounts> {
  const { rows } = await client.query<CountRow>(
    `WITH base AS (
       SELECT coalesce(max(through_batch), 0) AS batch FROM urna.count_snapshots
       WHERE $1::int8 = 0 AND through_batch <= $2
     )
     SELECT election_number, region, cell, sum(n)::text AS n FROM (
       SELECT s.election_number, s.region, s.cell, s.n FROM urna.count_snapshots s, base
       WHERE s.through_batch = base.batch
       UNION ALL
       SELECT d.election_number, d.region, d.cell, d.n FROM urna.count_deltas d, base
       WHERE d.batch_number > greatest(base.batch, $1) AND d.batch_number <= $2
     ) AS counted GROUP BY election_number, region, cell`,
    [afterBatch, throughBatch],
  );
  return { deltas: deltasOf(rows), changes: await readChanges(client, afterBatch, throughBatch) };
}

function deltasOf(rows: readonly CountRow[]): CountDeltas {
  return {
    elections: rows.map((row) => row.election_number),
    regions: rows.map((row) => row.region),
    cells: rows.map((row) => row.cell),
    n: rows.map((row) => Number(row.n)),
  };
}

type ChangeRow = { readonly election_id: string; readonly state: ElectionState };

async function readChanges(client: pg.Client, afterBatch: number, throughBatch: number): Promise<FeedChange[]> {
  const { rows } = await client.query<ChangeRow>(
    `SELECT election_id,
            CASE WHEN close_batch > 0 AND close_batch <= $2 THEN 3
                 WHEN open_batch > 0 AND open_batch <= $2 THEN 2
                 ELSE 1 END AS state
     FROM urna.elections
     WHERE create_batch <= $2 AND greatest(create_batch, open_batch, close_batch) > $1
     ORDER BY number`,
    [afterBatch, throughBatch],
  );
  return rows.map((row) => ({ electionId: row.election_id, state: row.state }));
}

/** Blocks of 8 KiB read in one go: some 100,000 votes, so that progress moves and a cancelled recount ends soon. */
const blocksPerStep = 1_024;

export type RecountStep =
  | { readonly kind: "progress"; readonly rows: number }
  | { readonly kind: "counts"; readonly regions: number[]; readonly cells: number[]; readonly counts: bigint[] };

type BallotRow = { readonly region: number; readonly ballot: Buffer; readonly n: string };

/** Runs a piece of reading on a connection that is free. */
export type Read = <T>(work: (client: pg.Client) => Promise<T>) => Promise<T>;

/**
 * Counts rows of votes, never the batch log (I7), up to a batch that the caller has made sure is durable. Rows never move
 * or change, so counting block range by block range misses none and doubles none. A connection is held for one range at a
 * time: a caller that takes its progress slowly, or not at all, keeps nobody else from reading.
 */
export async function* recountVotes(
  read: Read,
  electionNumber: number,
  shape: ElectionShape,
  throughBatch: number,
): AsyncGenerator<RecountStep> {
  const table = `urna.votes_${electionNumber}`;
  const size = await read((client) =>
    client.query<{ blocks: string }>(
      `SELECT (pg_relation_size($1::regclass) / current_setting('block_size')::int)::text AS blocks`,
      [table],
    ),
  );
  const blocks = Number(size.rows[0]?.blocks ?? 0);
  const totals = new Map<number, bigint>();
  let counted = 0;
  for (let block = 0; block < blocks; block += blocksPerStep) {
    const { rows } = await read((client) =>
      client.query<BallotRow>(
        `SELECT region, ballot, count(*)::text AS n FROM ${table}
         WHERE ctid >= $1::tid AND ctid < $2::tid AND batch_number <= $3 GROUP BY region, ballot`,
        [`(${block},0)`, `(${block + blocksPerStep},0)`, throughBatch],
      ),
    );
    counted += addBallots(totals, shape, rows);
    yield { kind: "progress", rows: counted };
  }
  yield countsStep(totals, shape.cellMeanings.length);
}

/** How many rows were added. */
function addBallots(totals: Map<number, bigint>, shape: ElectionShape, rows: readonly BallotRow[]): number {
  let added = 0;
  for (const { region, ballot, n } of rows) {
    for (const [cell, each] of ballotCounts(shape, region, ballot)) {
      const place = region * shape.cellMeanings.length + cell;
      totals.set(place, (totals.get(place) ?? 0n) + BigInt(n) * BigInt(each));
    }
    added += Number(n);
  }
  return added;
}

function countsStep(totals: ReadonlyMap<number, bigint>, cellCount: number): RecountStep {
  const places = [...totals.keys()];
  return {
    kind: "counts",
    regions: places.map((place) => Math.floor(place / cellCount)),
    cells: places.map((place) => place % cellCount),
    counts: [...totals.values()],
  };
}

type PlaceRow = { readonly leaf_index: string };

/** The leaf of a vote with this key, if it is in a batch up to the durable mark. */
export async function findVote(
  client: pg.Client,
  electionNumber: number,
  nullifier: Uint8Array,
  keyHash: Uint8Array,
  durableBatch: number,
): Promise<number | undefined> {
  const { rows } = await client.query<PlaceRow>(
    `SELECT leaf_index FROM urna.votes_${electionNumber} WHERE nullifier = $1 AND key_hash = $2 AND batch_number <= $3`,
    [Buffer.from(nullifier).toString("hex"), Buffer.from(keyHash).toString("hex"), durableBatch],
  );
  const row = rows[0];
  return row === undefined ? undefined : Number(row.leaf_index);
}
