/** What one shard's database holds, as the checker reads it: its own SQL, one snapshot, nothing asked of the services. */
import pg from "pg";
import { ElectionReading } from "#bench/checker-ballots.ts";

export type StoredElection = {
  readonly number: number;
  readonly electionId: string;
  readonly definition: Buffer;
  readonly definitionHash: string;
  readonly wrappedKey: Buffer;
  readonly state: number;
  readonly openBatch: number;
  readonly closeBatch: number;
  readonly reading: ElectionReading;
};

export type StoredBatch = {
  readonly number: number;
  readonly batchId: string;
  readonly writerEpoch: number;
  readonly stampMs: number;
  readonly votes: number;
  readonly treeSize: number;
  /** As hex. */
  readonly root: string;
  readonly elections: readonly number[];
  readonly regions: readonly number[];
  readonly cells: readonly number[];
  readonly n: readonly number[];
};

/** Bytes as hex. */
export type StoredVote = {
  readonly nullifier: string;
  readonly keyHash: string;
  readonly leafIndex: number;
  readonly batch: number;
  readonly election: number;
  readonly region: number;
  readonly ballot: string;
  readonly nonce: string;
};

export type ShardState = {
  readonly shardId: number;
  readonly deployment: string;
  readonly logOrigin: string;
  readonly writerEpoch: number;
  readonly batchNumber: number;
  readonly treeSize: number;
  readonly slots: readonly (readonly [first: number, last: number])[];
  readonly elections: ReadonlyMap<number, StoredElection>;
  readonly batches: readonly StoredBatch[];
  readonly votes: readonly StoredVote[];
};

type HeadRow = { deployment: string; shard_id: number; writer_epoch: number; batch_number: number; tree_size: number };
type ElectionRow = Omit<StoredElection, "reading">;
type SlotsRow = { first_slot: number; last_slot: number };

const fetchRows = 20_000;

/** Runs `read` in a session of its own. */
export async function withSession<T>(url: string, read: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: "urna-checker" });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await read(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Everything at one instant. */
export function readShard(url: string): Promise<ShardState> {
  return withSession(url, async (client) => {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { rows } = await client.query<HeadRow>(
      "SELECT deployment, shard_id, writer_epoch::float8, batch_number::float8, tree_size::float8 FROM urna.head",
    );
    const [head] = rows;
    if (head === undefined) throw new Error("the checker found no head");
    const slots = await client.query<SlotsRow>("SELECT first_slot, last_slot FROM urna.slots ORDER BY first_slot");
    const state: ShardState = {
      shardId: head.shard_id,
      deployment: head.deployment,
      logOrigin: `${head.deployment}/shard/${head.shard_id}`,
      writerEpoch: head.writer_epoch,
      batchNumber: head.batch_number,
      treeSize: head.tree_size,
      slots: slots.rows.map(({ first_slot, last_slot }) => [first_slot, last_slot] as const),
      elections: await readElections(client),
      batches: await readBatches(client),
      votes: await readVotes(client),
    };
    await client.query("COMMIT");
    return state;
  });
}

async function readElections(client: pg.Client): Promise<Map<number, StoredElection>> {
  const { rows } = await client.query<ElectionRow>(
    `SELECT number, election_id AS "electionId", definition, encode(definition_hash, 'hex') AS "definitionHash",
            wrapped_key AS "wrappedKey", state, open_batch::float8 AS "openBatch", close_batch::float8 AS "closeBatch"
     FROM urna.elections`,
  );
  return new Map(rows.map((row) => [row.number, { ...row, reading: new ElectionReading(row.definition) }]));
}

function readBatches(client: pg.Client): Promise<StoredBatch[]> {
  return readAll<StoredBatch>(
    client,
    `SELECT number::float8 AS number, batch_id::text AS "batchId", writer_epoch::float8 AS "writerEpoch",
            extract(epoch FROM stamp)::float8 * 1000 AS "stampMs", votes, tree_size::float8 AS "treeSize",
            encode(root, 'hex') AS root,
            count_election AS elections, count_region AS regions, count_cell AS cells, count_n AS n
     FROM urna.batches ORDER BY batches.number`,
  );
}

function readVotes(client: pg.Client): Promise<StoredVote[]> {
  return readAll<StoredVote>(
    client,
    `SELECT replace(nullifier::text, '-', '') AS nullifier, replace(key_hash::text, '-', '') AS "keyHash",
            leaf_index::float8 AS "leafIndex", batch_number::float8 AS batch, election_number AS election, region,
            encode(ballot, 'hex') AS ballot, replace(nonce::text, '-', '') AS nonce
     FROM urna.votes`,
  );
}

async function readAll<T extends object>(client: pg.Client, query: string): Promise<T[]> {
  await client.query(`DECLARE checked CURSOR FOR ${query}`);
  const all: T[] = [];
  for (;;) {
    const { rows } = await client.query<T>(`FETCH ${fetchRows} FROM checked`);
    for (const row of rows) all.push(row);
    if (rows.length < fetchRows) break;
  }
  await client.query("CLOSE checked");
  return all;
}
