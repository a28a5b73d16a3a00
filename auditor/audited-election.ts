/** One election on one shard, while the shard's rows are read: it makes leaf hashes and counts of rows. */
import type { ElectionShape } from "#proto/election-shape.ts";
import { LeafEntryWriter, type VoteColumns } from "#proto/ledger/leaf-entry.ts";
import { contestsMax, keyHashBytes, nullifierBytes, optionsPerContestMax } from "#proto/limits.ts";
import { type BallotKind, ballotKind } from "./ballot-kind.ts";
import { ballotAt, keyHashAt, nonceAt, nullifierAt, regionAt } from "./vote-row.ts";

export type ElectionTerms = {
  readonly number: number;
  readonly electionId: string;
  /** The hash of the definition that the election's leaves carry: 32 bytes. */
  readonly definitionHash: Buffer;
  /** Undefined where no definition of that hash is to be had: rows are hashed then, and not counted. */
  readonly shape: ElectionShape | undefined;
  /** A vote counts in batches after this one; 0: in none. */
  readonly openBatch: number;
  /** And before this one; 0: it has not closed. */
  readonly closeBatch: number;
};

/** Ballots of at most one selection, which most are, by a number; others by their bytes as a latin1 string. */
type BallotKey = number | string;

/** The longest canonical ballot. */
const ballotBytesMax = contestsMax * optionsPerContestMax * 2;
/** Kinds that are remembered; ballots of many contests are seldom alike. */
const kindsMax = 50_000;

/** A row, as a frame of one vote: the two parts that must begin their columns are copied, the others stay where they are. */
class RowColumns implements VoteColumns {
  readonly nullifiers = Buffer.alloc(nullifierBytes);
  readonly keyHashes = Buffer.alloc(keyHashBytes);
  ballots: Buffer = Buffer.alloc(0);
  readonly ballotStarts = new Uint32Array(2);
  readonly regions = new Uint32Array(1);

  set(row: Buffer): void {
    for (let i = 0; i < nullifierBytes; i++) {
      this.nullifiers[i] = row[nullifierAt + i] as number;
      this.keyHashes[i] = row[keyHashAt + i] as number;
    }
    this.ballots = row;
    this.ballotStarts[0] = ballotAt;
    this.ballotStarts[1] = row.length;
    this.regions[0] = row.readInt32BE(regionAt);
  }
}

if (nullifierBytes !== keyHashBytes) throw new Error("audited-election: one loop copies nullifier and key hash");

export class AuditedElection {
  readonly terms: ElectionTerms;
  /** Rows counted of batches up to this one make `tallied`; set where there is a tally to compare with. */
  tallyBatch = -1;
  /** region * cells + cell → count. */
  readonly tallied = new Map<number, number>();
  /** By cell, over all regions, of all rows. */
  readonly totals = new Map<number, number>();
  /** Rows that were hashed, and those of them that are not what their leaf was made of. */
  rows = 0;
  changedRows = 0;
  readonly #writer: LeafEntryWriter;
  readonly #columns = new RowColumns();
  #kinds = new Map<number, Map<BallotKey, BallotKind>>();
  #kindCount = 0;

  constructor(terms: ElectionTerms) {
    this.terms = terms;
    this.#writer = new LeafEntryWriter(terms.electionId, terms.definitionHash);
  }

  get cells(): number {
    return this.terms.shape?.cellMeanings.length ?? 0;
  }

  /** Whether a vote of this batch counts (I10). */
  isOpenIn(batch: number): boolean {
    const { openBatch, closeBatch } = this.terms;
    return openBatch > 0 && batch > openBatch && (closeBatch === 0 || batch < closeBatch);
  }

  /** Writes the leaf hash of a whole row; false where its ballot or region is none that can be hashed. */
  hashRow(row: Buffer, target: Buffer, targetOffset: number): boolean {
    if (row.length - ballotAt > ballotBytesMax || row.readInt32BE(regionAt) < 0) return false;
    this.#columns.set(row);
    this.#writer.leafHash(this.#columns, 0, row, nonceAt, target, targetOffset);
    this.rows += 1;
    return true;
  }

  kindOf(row: Buffer): BallotKind {
    const region = row.readInt32BE(regionAt);
    const key = ballotKey(row);
    return this.#kinds.get(region)?.get(key) ?? this.#remember(region, key, row.subarray(ballotAt));
  }

  #remember(region: number, key: BallotKey, ballot: Uint8Array): BallotKind {
    const kind = ballotKind(this, this.terms.shape, region, ballot);
    if (this.#kindCount >= kindsMax) {
      this.#kinds = new Map();
      this.#kindCount = 0;
    }
    this.#kindCount += 1;
    const ofRegion = this.#kinds.get(region) ?? new Map<BallotKey, BallotKind>();
    this.#kinds.set(region, ofRegion.set(key, kind));
    return kind;
  }
}

function ballotKey(row: Buffer): BallotKey {
  const bytes = row.length - ballotAt;
  if (bytes === 0) return -1;
  if (bytes === 2) return ((row[ballotAt] as number) << 8) | (row[ballotAt + 1] as number);
  return row.toString("latin1", ballotAt);
}
