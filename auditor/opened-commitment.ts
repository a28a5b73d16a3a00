/**
 * Opens one commitment: what a leaf of the ledger hides, and that it hides just this.
 *
 * A leaf entry holds SHA-256(nonce || ballot || region) and nothing else of the choice. The nonce, the ballot and the region stand
 * in the row of urna.votes and never leave the database through any service, so exactly those can open a commitment who may read
 * that table: the shard's own role, the owner, the operator of the database, and whoever has a copy or a backup of it. That is
 * so because the rows must be countable again. It does not name the voter: the row bears a nullifier, and to find the row of
 * a voter by name takes the election's key besides, which is stored under the routers' key alone. Who holds both can link a
 * voter and a choice, so they must not be in one hand.
 */
import { createDecipheriv, createHmac } from "node:crypto";
import type pg from "pg";
import { decodeBallot } from "#proto/election-shape.ts";
import { ballotCommitment, encodeLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { leafHash } from "#proto/ledger/merkle-hash.ts";
import { nullifierBytes } from "#proto/limits.ts";
import { DefinitionPool } from "./definition-pool.ts";
import { readElections, type StoredElection } from "./stored-shard.ts";

export type OpenedCommitment = {
  readonly electionId: string;
  readonly leaf: number;
  readonly batch: number;
  readonly region: number;
  /** Undefined where the definition does not name it. */
  readonly regionId: string | undefined;
  readonly ballot: Buffer;
  /** "mayor: ada"; empty for a ballot without selections. */
  readonly selections: readonly string[];
  readonly nonce: Buffer;
  readonly nullifier: Buffer;
  readonly keyHash: Buffer;
  /** SHA-256(nonce || ballot || region), made again here. */
  readonly commitment: Buffer;
  /** The leaf entry with that commitment, and the hash of it. */
  readonly entry: Buffer;
  readonly leafHash: Buffer;
};

export type SoughtVote = { readonly leaf: number } | { readonly nullifier: Buffer };

type Row = {
  nullifier: Buffer;
  key_hash: Buffer;
  nonce: Buffer;
  ballot: Buffer;
  region: number;
  leaf: number;
  batch: number;
};

/** Undefined where the shard has no such vote. */
export async function openCommitment(
  client: pg.Client,
  electionId: string,
  sought: SoughtVote,
): Promise<OpenedCommitment | undefined> {
  const election = (await readElections(client)).find((stored) => stored.electionId === electionId);
  const row = election === undefined ? undefined : await readRow(client, election, sought);
  if (election === undefined || row === undefined) return undefined;
  const pool = new DefinitionPool();
  pool.add(election);
  const shape = pool.shapeOf(election.definitionHash);
  const commitment = ballotCommitment(row.nonce, row.ballot, row.region);
  const { definitionHash } = election;
  const entry = encodeLeafEntry({
    electionId,
    definitionHash,
    nullifier: row.nullifier,
    keyHash: row.key_hash,
    commitment,
  });
  const meanings = decodeBallot(row.ballot).map((cell) => shape?.cellMeanings[cell]);
  return {
    electionId,
    leaf: row.leaf,
    batch: row.batch,
    region: row.region,
    regionId: shape?.leaves[row.region],
    ballot: row.ballot,
    selections: meanings.map((cell) => (cell?.kind === "option" ? `${cell.contestId}: ${cell.optionId}` : "?")),
    nonce: row.nonce,
    nullifier: row.nullifier,
    keyHash: row.key_hash,
    commitment,
    entry,
    leafHash: leafHash(entry),
  };
}

async function readRow(client: pg.Client, { number }: StoredElection, sought: SoughtVote): Promise<Row | undefined> {
  const [column, value] =
    "leaf" in sought ? ["leaf_index", sought.leaf] : ["nullifier", sought.nullifier.toString("hex")];
  const { rows } = await client.query<Row>(
    `SELECT uuid_send(nullifier) AS nullifier, uuid_send(key_hash) AS key_hash, uuid_send(nonce) AS nonce, ballot, region,
            leaf_index::float8 AS leaf, batch_number::float8 AS batch
     FROM urna.votes WHERE election_number = $1 AND ${column} = $2`,
    [number, value],
  );
  return rows[0];
}

/** The election's key as its row has it: nonce[12] || key[32] || tag[16], AES-256-GCM under the routers' key. */
export async function readWrappedKey(client: pg.Client, electionId: string): Promise<Buffer | undefined> {
  const { rows } = await client.query<{ wrapped_key: Buffer }>(
    "SELECT wrapped_key FROM urna.elections WHERE election_id = $1",
    [electionId],
  );
  return rows[0]?.wrapped_key;
}

/** The nullifier of a voter, for whoever has the routers' key too. Throws when that key is not the one it was wrapped with. */
export function nullifierOf(routerKey: Buffer, electionId: string, wrappedKey: Buffer, voterId: string): Buffer {
  const [nonceBytes, keyBytes] = [12, 32];
  const decipher = createDecipheriv("aes-256-gcm", routerKey, wrappedKey.subarray(0, nonceBytes));
  decipher.setAAD(Buffer.from(electionId));
  decipher.setAuthTag(wrappedKey.subarray(nonceBytes + keyBytes));
  const wrapped = wrappedKey.subarray(nonceBytes, nonceBytes + keyBytes);
  const key = Buffer.concat([decipher.update(wrapped), decipher.final()]);
  return createHmac("sha256", key).update(voterId).digest().subarray(0, nullifierBytes);
}
