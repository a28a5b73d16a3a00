/** What a shard's database says of itself: its head, its slots, its elections. Small, and read whole. */
import { createHash } from "node:crypto";
import type pg from "pg";
import { slotCount } from "#proto/limits.ts";

export type StoredHead = {
  readonly deployment: string;
  readonly shardId: number;
  readonly batchNumber: number;
  readonly treeSize: number;
  readonly keyFingerprint: Buffer;
  readonly generation: number;
};

/** The end of the log, as its batches say, and as the head says at the same instant. */
export type LogEnd = {
  readonly head: StoredHead | undefined;
  /** Of the last batch; 0 and 0 where there is none. */
  readonly batch: number;
  readonly leaves: number;
};

export type StoredElection = {
  readonly number: number;
  readonly electionId: string;
  readonly definition: Buffer;
  readonly definitionHash: Buffer;
  readonly openBatch: number;
  readonly closeBatch: number;
  /** The size of the log when it was opened: its votes come behind. */
  readonly leavesBefore: number;
};

/** A definition and the hash that it was stored with, from wherever a shard holds one. */
export type StoredDefinition = Pick<StoredElection, "electionId" | "definition" | "definitionHash">;

type EndRow = {
  batch: number | null;
  leaves: number | null;
  deployment: string | null;
  shard_id: number;
  batch_number: number;
  tree_size: number;
  key_fingerprint: Buffer;
  generation: number;
};

export async function readLogEnd(client: pg.Client): Promise<LogEnd> {
  const { rows } = await client.query<EndRow>(
    `SELECT b.number::float8 AS batch, b.tree_size::float8 AS leaves, h.deployment, h.shard_id,
            h.batch_number::float8 AS batch_number, h.tree_size::float8 AS tree_size, h.key_fingerprint, h.generation
     FROM (SELECT 1) AS one
     LEFT JOIN (SELECT number, tree_size FROM urna.batches ORDER BY number DESC LIMIT 1) AS b ON true
     LEFT JOIN urna.head h ON true`,
  );
  const row = rows[0];
  const end = { batch: row?.batch ?? 0, leaves: Math.max(0, row?.leaves ?? 0) };
  if (row === undefined || row.deployment === null) return { head: undefined, ...end };
  return {
    ...end,
    head: {
      deployment: row.deployment,
      shardId: row.shard_id,
      batchNumber: row.batch_number,
      treeSize: row.tree_size,
      keyFingerprint: row.key_fingerprint,
      generation: row.generation,
    },
  };
}

/** By slot: 1 where the shard says that it is its own. */
export async function readSlots(client: pg.Client): Promise<Uint8Array> {
  const { rows } = await client.query<{ first_slot: number; last_slot: number }>(
    "SELECT first_slot, last_slot FROM urna.slots",
  );
  const own = new Uint8Array(slotCount);
  for (const { first_slot, last_slot } of rows) own.fill(1, Math.max(0, first_slot), Math.max(0, last_slot + 1));
  return own;
}

type ElectionRow = {
  number: number;
  election_id: string;
  definition: Buffer;
  definition_hash: Buffer;
  open_batch: number;
  close_batch: number;
  leaves_before: number | null;
};

export async function readElections(client: pg.Client): Promise<StoredElection[]> {
  const { rows } = await client.query<ElectionRow>(
    `SELECT e.number, e.election_id, e.definition, e.definition_hash, e.open_batch::float8 AS open_batch,
            e.close_batch::float8 AS close_batch, b.tree_size::float8 AS leaves_before
     FROM urna.elections e LEFT JOIN urna.batches b ON b.number = e.open_batch ORDER BY e.number`,
  );
  return rows.map((row) => ({
    number: row.number,
    electionId: row.election_id,
    definition: row.definition,
    definitionHash: row.definition_hash,
    openBatch: row.open_batch,
    closeBatch: row.close_batch,
    leavesBefore: row.leaves_before ?? 0,
  }));
}

/** Of the elections whose home the shard is. */
export async function readHomeDefinitions(client: pg.Client): Promise<StoredDefinition[]> {
  const { rows } = await client.query<{ election_id: string; definition: Buffer; definition_hash: Buffer }>(
    "SELECT election_id, definition, definition_hash FROM urna.home_elections",
  );
  return rows.map((row) => ({
    electionId: row.election_id,
    definition: row.definition,
    definitionHash: row.definition_hash,
  }));
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
