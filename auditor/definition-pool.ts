/**
 * Which definition an election was voted on. Every leaf carries the hash of it, so whatever hash the leaves carry is the true one;
 * the definition itself may then come from any shard that still has it.
 */
import { fromBinary } from "@bufbuild/protobuf";
import type pg from "pg";
import { type ElectionShape, electionShape } from "#proto/election-shape.ts";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { tileWidth } from "#proto/ledger/tiles.ts";
import { AuditedElection } from "./audited-election.ts";
import { copyOut } from "./copy-out.ts";
import { readInt8 } from "./field-cursor.ts";
import { type StoredDefinition, type StoredElection, sha256 } from "./stored-shard.ts";
import { isWholeRow, leafAt, voteColumns } from "./vote-row.ts";

/** Rows of an election that are tried. */
const probedRows = 5;

export class DefinitionPool {
  /** By the hash of the bytes, as hex. */
  readonly #definitions = new Map<string, Buffer>();
  /** Hashes, as hex, that anybody claims to be an election's. */
  readonly #claims = new Map<string, Set<string>>();

  add({ electionId, definition, definitionHash }: StoredDefinition): void {
    const own = sha256(definition);
    this.#definitions.set(own.toString("hex"), definition);
    this.claim(electionId, own);
    this.claim(electionId, definitionHash);
  }

  /** The definition of an election was known under this hash. */
  claim(electionId: string, hash: Buffer): void {
    const claims = this.#claims.get(electionId) ?? new Set<string>();
    this.#claims.set(electionId, claims.add(hash.toString("hex")));
  }

  /** Undefined where no definition of that hash is known, or it is none. */
  shapeOf(hash: Buffer): ElectionShape | undefined {
    const definition = this.#definitions.get(hash.toString("hex"));
    if (definition === undefined) return undefined;
    try {
      return electionShape(fromBinary(ElectionDefinitionSchema, definition));
    } catch {
      return undefined;
    }
  }

  /** The hash that the leaves of a shard carry. Where nothing has changed there is one claim, and no row is read. */
  async carriedHash(client: pg.Client, election: StoredElection, pinned: Buffer | undefined): Promise<Buffer> {
    const claims = [...(this.#claims.get(election.electionId) ?? [])].map((hash) => Buffer.from(hash, "hex"));
    const fallback = pinned ?? election.definitionHash;
    if (claims.length <= 1) return fallback;
    return (await carriedBy(client, election, claims)) ?? fallback;
  }
}

async function carriedBy(client: pg.Client, election: StoredElection, claims: Buffer[]): Promise<Buffer | undefined> {
  const rows: Buffer[] = [];
  const select = `SELECT ${voteColumns} FROM urna.votes WHERE election_number = ${election.number} LIMIT ${probedRows}`;
  await copyOut(client, select, (row) => rows.push(Buffer.from(row)));
  for (const row of rows.filter(isWholeRow)) {
    const stored = await storedLeafHash(client, readInt8(row, leafAt));
    const carried = claims.find((hash) => stored !== undefined && givesHash(election, hash, row, stored));
    if (carried !== undefined) return carried;
  }
  return undefined;
}

function givesHash({ number, electionId }: StoredElection, definitionHash: Buffer, row: Buffer, leaf: Buffer): boolean {
  if (definitionHash.length !== hashBytes) return false;
  const terms = { number, electionId, definitionHash, shape: undefined, openBatch: 0, closeBatch: 0 };
  const hash = Buffer.alloc(hashBytes);
  return new AuditedElection(terms).hashRow(row, hash, 0) && hash.equals(leaf);
}

/** The stored hash of one leaf, from its tile or from its batch. */
async function storedLeafHash(client: pg.Client, leaf: number): Promise<Buffer | undefined> {
  if (leaf < 0) return undefined;
  const inTile = await client.query<{ hash: Buffer }>(
    `SELECT substring(hashes FROM $2 FOR ${hashBytes}) AS hash FROM urna.tiles WHERE level = 0 AND tile_index = $1`,
    [Math.floor(leaf / tileWidth), (leaf % tileWidth) * hashBytes + 1],
  );
  if (inTile.rows[0] !== undefined) return inTile.rows[0].hash;
  const inBatch = await client.query<{ first: number; hashes: Buffer }>(
    `SELECT tree_size::float8 - length(tail_hashes) / ${hashBytes} AS first, tail_hashes AS hashes
     FROM urna.batches WHERE votes > 0 AND tree_size > $1 ORDER BY tree_size LIMIT 1`,
    [leaf],
  );
  const tail = inBatch.rows[0];
  if (tail === undefined || leaf < tail.first) return undefined;
  const at = (leaf - tail.first) * hashBytes;
  return tail.hashes.subarray(at, at + hashBytes);
}
