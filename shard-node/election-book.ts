/**
 * The elections of this shard as its writer knows them: loaded after a takeover, changed only when a control batch is
 * durable, so that no answer ever reveals a state that may vanish (design, cast path 9).
 */
import { fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type pg from "pg";
import { ballotCounts, decodeBallot, type ElectionShape, electionShape } from "#proto/election-shape.ts";
import { ElectionDefinitionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { LeafEntryWriter } from "#proto/ledger/leaf-entry.ts";
import { VoterFilter } from "./voter-filter.ts";

/** Ballots of one region that are alike: what each adds to the counts, n[i] to cells[i]. */
export type BallotKind = {
  readonly region: number;
  readonly cells: readonly number[];
  readonly n: readonly number[];
  /** How many of them are in the batch that is being sealed; 0 between batches. */
  votes: number;
};

/** Ballots of at most one selection, which most are, by a number; others by their bytes as a latin1 string. */
type BallotKey = number | string;

/** Bytes, about, that an election may remember of ballots seen. Ballots of many contests are large and seldom alike. */
const kindsBytesMax = 8 * 1024 * 1024;
const bytesPerEntry = 200;
const bytesPerCount = 20;

/** One election on this shard. */
export class ElectionEntry {
  readonly number: number;
  readonly shape: ElectionShape;
  readonly wrappedKey: Uint8Array;
  readonly hashLatin1: string;
  state: ElectionState = ElectionState.CREATED;
  openBatch = 0;
  closeBatch = 0;
  /** Makes the leaf hashes of its votes. */
  readonly leaves: LeafEntryWriter;
  /** Who has voted. Every vote that is stored must be added. */
  readonly voters: VoterFilter;
  /** By region, then by ballot. */
  readonly #kinds = new Map<number, Map<BallotKey, BallotKind | undefined>>();
  #kindsBytes = 0;

  /** `mayHaveVotes`: it was open before this writer took over. */
  constructor(number: number, shape: ElectionShape, wrappedKey: Uint8Array, mayHaveVotes = false) {
    this.number = number;
    this.leaves = new LeafEntryWriter(shape.definition.electionId, shape.definitionHash);
    this.voters = new VoterFilter(!mayHaveVotes);
    this.shape = shape;
    this.wrappedKey = wrappedKey;
    this.hashLatin1 = shape.definitionHash.toString("latin1");
  }

  get id(): string {
    return this.shape.definition.electionId;
  }

  get opensAtMs(): number | undefined {
    const { opensAt } = this.shape.definition;
    return opensAt === undefined ? undefined : timestampMs(opensAt);
  }

  get closesAtMs(): number | undefined {
    const { closesAt } = this.shape.definition;
    return closesAt === undefined ? undefined : timestampMs(closesAt);
  }

  /**
   * What the ballot at these bytes is in this leaf region, or undefined when it is not a canonical ballot of the region:
   * routers check, the shard asserts.
   */
  kindOf(region: number, ballots: Buffer, start: number, end: number): BallotKind | undefined {
    const key = ballotKey(ballots, start, end);
    const known = this.#kinds.get(region);
    const kind = known?.get(key);
    if (kind !== undefined || known?.has(key) === true) return kind;
    const ballot = ballots.subarray(start, end);
    return this.#remember(
      region,
      key,
      isCanonicalBallot(this.shape, region, ballot) ? this.#kind(region, ballot) : undefined,
    );
  }

  #kind(region: number, ballot: Buffer): BallotKind {
    const counts = [...ballotCounts(this.shape, region, ballot)];
    return { region, cells: counts.map(([cell]) => cell), n: counts.map(([, n]) => n), votes: 0 };
  }

  #remember(region: number, key: BallotKey, kind: BallotKind | undefined): BallotKind | undefined {
    if (this.#kindsBytes >= kindsBytesMax) {
      this.#kinds.clear();
      this.#kindsBytes = 0;
    }
    const ofRegion = this.#kinds.get(region) ?? new Map<BallotKey, BallotKind | undefined>();
    ofRegion.set(key, kind);
    this.#kinds.set(region, ofRegion);
    const keyBytes = typeof key === "string" ? key.length : 0;
    this.#kindsBytes += bytesPerEntry + keyBytes + bytesPerCount * (kind?.cells.length ?? 0);
    return kind;
  }
}

function ballotKey(ballots: Buffer, start: number, end: number): BallotKey {
  if (end === start) return -1;
  if (end - start === 2) return ((ballots[start] as number) << 8) | (ballots[start + 1] as number);
  return ballots.toString("latin1", start, end);
}

function isCanonicalBallot(shape: ElectionShape, region: number, ballot: Buffer): boolean {
  if (shape.leaves[region] === undefined || ballot.length % 2 !== 0) return false;
  const cells = decodeBallot(ballot);
  if (cells.some((cell, i) => i > 0 && cell <= (cells[i - 1] ?? 0))) return false;
  let placed = 0;
  for (const contest of shape.contests.values()) {
    const selected = cells.filter((cell) => cell >= contest.firstCell && cell < contest.undervoteCell).length;
    if (selected > contest.selectionsMax || (selected > 0 && contest.onBallot[region] !== 1)) return false;
    placed += selected;
  }
  return placed === cells.length;
}

/** An election as its home shard holds it. */
export type HomeRecord = {
  readonly electionId: string;
  readonly definition: Buffer;
  readonly definitionHash: Buffer;
  readonly wrappedKey: Buffer;
  readonly wantedState: ElectionState;
  readonly createdAtMs: number;
  readonly requestedBy: string;
};

export class ElectionBook {
  readonly #entries = new Map<string, ElectionEntry>();
  readonly #byNumber = new Map<number, ElectionEntry>();
  readonly #homes = new Map<string, HomeRecord>();

  entry(electionId: string): ElectionEntry | undefined {
    return this.#entries.get(electionId);
  }

  byNumber(number: number): ElectionEntry | undefined {
    return this.#byNumber.get(number);
  }

  entries(): IterableIterator<ElectionEntry> {
    return this.#entries.values();
  }

  home(electionId: string): HomeRecord | undefined {
    return this.#homes.get(electionId);
  }

  homes(): IterableIterator<HomeRecord> {
    return this.#homes.values();
  }

  add(entry: ElectionEntry): void {
    this.#entries.set(entry.id, entry);
    this.#byNumber.set(entry.number, entry);
  }

  putHome(record: HomeRecord): void {
    this.#homes.set(record.electionId, record);
  }

  /** The number that `urna.define_election` will give next. */
  nextNumber(): number {
    return Math.max(0, ...this.#byNumber.keys()) + 1;
  }

  /** Reads everything anew, on a session that has just taken over. */
  static async load(client: pg.Client): Promise<ElectionBook> {
    const book = new ElectionBook();
    const { rows } = await client.query<ElectionRow>(
      "SELECT number, definition, wrapped_key, state, open_batch, close_batch FROM urna.elections ORDER BY number",
    );
    for (const row of rows) book.add(entryOf(row));
    const homes = await client.query<HomeRow>(
      `SELECT election_id, definition, definition_hash, wrapped_key, wanted_state, created_at, requested_by
       FROM urna.home_elections`,
    );
    for (const row of homes.rows) book.putHome(homeOf(row));
    return book;
  }
}

type ElectionRow = {
  readonly number: number;
  readonly definition: Buffer;
  readonly wrapped_key: Buffer;
  readonly state: number;
  readonly open_batch: string;
  readonly close_batch: string;
};

function entryOf(row: ElectionRow): ElectionEntry {
  const shape = electionShape(fromBinary(ElectionDefinitionSchema, row.definition));
  const entry = new ElectionEntry(row.number, shape, row.wrapped_key, Number(row.open_batch) > 0);
  entry.state = row.state;
  entry.openBatch = Number(row.open_batch);
  entry.closeBatch = Number(row.close_batch);
  return entry;
}

type HomeRow = {
  readonly election_id: string;
  readonly definition: Buffer;
  readonly definition_hash: Buffer;
  readonly wrapped_key: Buffer;
  readonly wanted_state: number;
  readonly created_at: Date;
  readonly requested_by: string;
};

function homeOf(row: HomeRow): HomeRecord {
  return {
    electionId: row.election_id,
    definition: row.definition,
    definitionHash: row.definition_hash,
    wrappedKey: row.wrapped_key,
    wantedState: row.wanted_state,
    createdAtMs: row.created_at.getTime(),
    requestedBy: row.requested_by,
  };
}
