/**
 * What happens to each row of votes as it comes, in whatever order: its leaf hash is made and put into its tile, its slot must be
 * the shard's own, and its voter is noted. This is where an audit spends its time.
 */
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { tileWidth } from "#proto/ledger/tiles.ts";
import { slotOf } from "#proto/slots.ts";
import type { FindingKind } from "./audit-finding.ts";
import type { AuditedElection } from "./audited-election.ts";
import { readInt8 } from "./field-cursor.ts";
import type { FindingBook } from "./finding-book.ts";
import { LeafBits } from "./leaf-bits.ts";
import type { LeafTile } from "./leaf-tile.ts";
import type { TileWindow } from "./tile-window.ts";
import { batchAt, claimedLeaf, electionAt, isWholeRow, leafAt, nullifierAt } from "./vote-row.ts";
import type { VoterIndex } from "./voter-index.ts";

/** Rows behind the log's end at the cut that are remembered, until it is known how far the log went meanwhile. */
const laterRowsMax = 1_000_000;

export type LaterRow = { readonly leaf: number; readonly batch: number };

export type IntakeOptions = {
  readonly shardId: number;
  readonly findings: FindingBook;
  readonly elections: ReadonlyMap<number, AuditedElection>;
  readonly window: TileWindow;
  /** By slot: 1 where it is the shard's own. */
  readonly ownSlots: Uint8Array;
  /** What the voter index calls an election of this shard. */
  readonly electionKeys: ReadonlyMap<number, number>;
  /** Undefined where only new rows are read: a voter is sought among all. */
  readonly voters: VoterIndex | undefined;
  readonly endBatch: number;
};

export class RowIntake {
  readonly #options: IntakeOptions;
  /** Leaves whose rows were looked up before they came. */
  readonly #lookedUp = new LeafBits();
  /** Leaves that were walked past without a row, before all rows had been seen. */
  readonly #missed = new LeafBits();
  readonly laterRows: LaterRow[] = [];
  #rows = 0;
  #farthestLeaf = -1;
  #election: AuditedElection | undefined;
  #electionKey = 0;
  #electionNumber = -1;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  get rows(): number {
    return this.#rows;
  }

  /** The highest leaf that a row has claimed below the log's end. */
  get farthestLeaf(): number {
    return this.#farthestLeaf;
  }

  /** A row as a binary COPY of `voteColumns` brings it. */
  take(row: Buffer): void {
    if (!isWholeRow(row)) {
      this.#unreadable(row);
      return;
    }
    const { window } = this.#options;
    const leaf = readInt8(row, leafAt);
    if (leaf >= window.endLeaf || leaf < 0) this.#noteLater(leaf, readInt8(row, batchAt));
    else if (leaf >= window.firstLeaf) this.#takeInside(row, leaf);
  }

  /** A row that was looked up because its tile could not wait for it. */
  takeLookedUp(row: Buffer): void {
    const leaf = isWholeRow(row) ? readInt8(row, leafAt) : -1;
    const { window } = this.#options;
    if (leaf < window.firstLeaf || leaf >= window.endLeaf || this.#lookedUp.has(leaf)) return;
    const tile = window.tileOf(leaf);
    if (tile === undefined || tile.has(leaf % tileWidth)) return;
    this.#lookedUp.add(leaf);
    this.#put(row, leaf, tile);
  }

  /** The row of a leaf that is walked now was neither seen nor found. */
  miss(leaf: number): void {
    this.#missed.add(leaf);
  }

  #takeInside(row: Buffer, leaf: number): void {
    const tile = this.#options.window.tileOf(leaf);
    if (this.#lookedUp.size > 0 && this.#lookedUp.delete(leaf)) return;
    if (this.#missed.size > 0 && this.#missed.delete(leaf)) {
      this.#found("ROW_CHANGED", leaf, "its row is not that of the voter whom its batch names");
      return;
    }
    if (tile === undefined || tile.has(leaf % tileWidth)) {
      this.#found("ROW_DOUBLED", leaf, "more than one row claims it");
      return;
    }
    this.#put(row, leaf, tile);
  }

  #put(row: Buffer, leaf: number, tile: LeafTile): void {
    const { shardId, ownSlots, voters } = this.#options;
    this.#rows += 1;
    if (leaf > this.#farthestLeaf) this.#farthestLeaf = leaf;
    const election = this.#electionOf(row, leaf);
    if (election === undefined) return;
    const slot = leaf % tileWidth;
    if (!election.hashRow(row, tile.hashes, slot * hashBytes)) {
      this.#found("BALLOT_INVALID", leaf, "its row holds what no ballot and no region can be");
      return;
    }
    tile.put(slot, row, readInt8(row, batchAt), election.kindOf(row));
    if (ownSlots[slotOf(row, nullifierAt)] !== 1) this.#notOwned(row, leaf);
    voters?.add(row, nullifierAt, this.#electionKey, shardId, leaf);
  }

  /** Rows come election by election, mostly. */
  #electionOf(row: Buffer, leaf: number): AuditedElection | undefined {
    const number = row.readInt32BE(electionAt);
    if (number !== this.#electionNumber) {
      this.#electionNumber = number;
      this.#election = this.#options.elections.get(number);
      this.#electionKey = this.#options.electionKeys.get(number) ?? 0;
    }
    if (this.#election === undefined)
      this.#found("ELECTION_UNKNOWN", leaf, `no election of the shard has number ${number}`);
    return this.#election;
  }

  #noteLater(leaf: number, batch: number): void {
    if (leaf < 0 || batch <= this.#options.endBatch) {
      const detail = `a row of batch ${batch} claims leaf ${leaf}, and that batch ends before it`;
      this.#found("ROW_BEYOND_LOG", leaf, detail);
    } else if (this.laterRows.length < laterRowsMax) this.laterRows.push({ leaf, batch });
  }

  #notOwned(row: Buffer, leaf: number): void {
    const detail = `its voter's slot is ${slotOf(row, nullifierAt)}, which is another shard's`;
    this.#found("SLOT_NOT_OWNED", leaf, detail);
  }

  #unreadable(row: Buffer): void {
    const leaf = claimedLeaf(row);
    const { findings, shardId } = this.#options;
    const detail = "a value of its row is missing, or has not the width that every vote's has";
    findings.add({ kind: "ROW_UNREADABLE", shardId, ...(leaf === undefined ? {} : { leaf }), detail });
  }

  #found(kind: FindingKind, leaf: number, detail: string): void {
    this.#options.findings.add({ kind, shardId: this.#options.shardId, leaf, detail });
  }
}
