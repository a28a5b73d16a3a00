/**
 * The rows of one batch, in the order of its leaves: that they name the batch, that it names their voters, that they are in
 * order, in time, and ballots; and what they count.
 */
import { nullifierBytes } from "#proto/limits.ts";
import type { FindingKind } from "./audit-finding.ts";
import type { AuditedElection } from "./audited-election.ts";
import type { LogBatch } from "./batch-chain.ts";
import { BatchCounts, differencesOf } from "./batch-counts.ts";
import type { FindingBook } from "./finding-book.ts";
import type { LeafTile } from "./leaf-tile.ts";

/** Differences of one batch that are named. */
const differencesNamed = 3;

export class LeafCheck {
  readonly #shardId: number;
  readonly #findings: FindingBook;
  readonly #elections: ReadonlyMap<number, AuditedElection>;
  readonly #counts = new BatchCounts();
  /** Of the leaf before, in the batch. */
  readonly #lastNullifier = Buffer.alloc(nullifierBytes);
  #lastElection: AuditedElection | undefined;
  #isOpen = false;
  #hasAll = true;

  constructor(shardId: number, findings: FindingBook, elections: ReadonlyMap<number, AuditedElection>) {
    this.#shardId = shardId;
    this.#findings = findings;
    this.#elections = elections;
  }

  /** Leaves of the batch, one slot of the tile after the other; `firstLeaf` is that of the tile. */
  check(batch: LogBatch, tile: LeafTile, firstLeaf: number, from: number, end: number): void {
    const named = batch.stored?.leafNullifiers;
    const namedAt = (firstLeaf + from - batch.firstLeaf) * nullifierBytes;
    const areNamed =
      named === undefined ||
      (namedAt + (end - from) * nullifierBytes <= named.length &&
        tile.nullifiers.compare(
          named,
          namedAt,
          namedAt + (end - from) * nullifierBytes,
          from * nullifierBytes,
          end * nullifierBytes,
        ) === 0);
    // Where the leaf before stands: in this tile, or among the last of the tile before.
    let before = this.#lastNullifier;
    let beforeAt = 0;
    for (let slot = from; slot < end; slot++) {
      const kind = tile.kinds[slot];
      const leaf = firstLeaf + slot;
      if (kind === undefined) {
        this.#hasAll = false;
        continue;
      }
      if (tile.batches[slot] !== batch.number && batch.stored !== undefined) this.#misplaced(leaf, batch, tile, slot);
      if (!areNamed) this.#checkNamed(leaf, batch, tile, slot);
      const at = slot * nullifierBytes;
      if (kind.election !== this.#lastElection) this.#enter(kind.election, leaf, batch);
      else if (!isBefore(before, beforeAt, tile.nullifiers, at)) this.#outOfOrder(leaf, batch);
      before = tile.nullifiers;
      beforeAt = at;
      if (!this.#isOpen) this.#outOfTime(kind.election, leaf, batch);
      if (!kind.isBallot)
        this.#found("BALLOT_INVALID", leaf, batch, "its row holds no ballot of its election and region");
      this.#counts.add(kind);
    }
    if (before !== this.#lastNullifier) before.copy(this.#lastNullifier, 0, beforeAt, beforeAt + nullifierBytes);
  }

  /** After the last leaf of a batch: compares the counts, unless rows are missing. */
  endBatch(batch: LogBatch): void {
    const sums = this.#counts.take(batch.number);
    const hasAll = this.#hasAll;
    this.#hasAll = true;
    this.#lastElection = undefined;
    if (batch.stored === undefined) return;
    const { counts, leafNullifiers, votes } = batch.stored;
    if (leafNullifiers.length !== votes * nullifierBytes) {
      const detail = `it names ${leafNullifiers.length / nullifierBytes} voters for ${votes} votes`;
      this.#findings.add({ kind: "LEAF_NULLIFIER_CHANGED", shardId: this.#shardId, batch: batch.number, detail });
    }
    if (counts === undefined) {
      const detail = "its count columns do not fit each other";
      this.#findings.add({ kind: "COUNTS_CHANGED", shardId: this.#shardId, batch: batch.number, detail });
      return;
    }
    const differences = differencesOf(counts, sums, this.#elections);
    if (differences.length > 0) this.#countsDiffer(batch, differences, hasAll);
  }

  #countsDiffer(batch: LogBatch, differences: ReturnType<typeof differencesOf>, hasAll: boolean): void {
    const named = differences
      .slice(0, differencesNamed)
      .map(({ what, logged, rows }) => `${what}: ${logged} in the log, ${rows} in the rows`);
    const more = differences.length > differencesNamed ? `; and ${differences.length - differencesNamed} more` : "";
    const electionId = differences[0]?.electionId ?? "";
    const missing = hasAll ? "" : " (rows are missing)";
    this.#findings.add({
      kind: "COUNTS_CHANGED",
      shardId: this.#shardId,
      batch: batch.number,
      electionId,
      detail: `its counts are not those of its rows${missing}: ${named.join("; ")}${more}`,
    });
  }

  #enter(election: AuditedElection, leaf: number, batch: LogBatch): void {
    const last = this.#lastElection;
    if (last !== undefined && last.terms.number > election.terms.number) this.#outOfOrder(leaf, batch);
    this.#lastElection = election;
    this.#isOpen = election.isOpenIn(batch.number);
  }

  #outOfTime({ terms }: AuditedElection, leaf: number, batch: LogBatch): void {
    const open = terms.openBatch === 0 ? "was never opened" : `was opened in batch ${terms.openBatch}`;
    const closed = terms.closeBatch === 0 ? "has not closed" : `closed in batch ${terms.closeBatch}`;
    this.#found("VOTE_OUT_OF_TIME", leaf, batch, `"${terms.electionId}" ${open} and ${closed}`);
  }

  #checkNamed(leaf: number, batch: LogBatch, tile: LeafTile, slot: number): void {
    const named = batch.stored?.leafNullifiers ?? Buffer.alloc(0);
    const at = (leaf - batch.firstLeaf) * nullifierBytes;
    const mine = tile.nullifiers.subarray(slot * nullifierBytes, (slot + 1) * nullifierBytes);
    if (named.subarray(at, at + nullifierBytes).equals(mine)) return;
    this.#found("LEAF_NULLIFIER_CHANGED", leaf, batch, "the batch names another voter for the leaf than its row does");
  }

  #misplaced(leaf: number, batch: LogBatch, tile: LeafTile, slot: number): void {
    this.#found("ROW_MISPLACED", leaf, batch, `its row says that it is of batch ${tile.batches[slot]}`);
  }

  #outOfOrder(leaf: number, batch: LogBatch): void {
    this.#found(
      "LEAVES_OUT_OF_ORDER",
      leaf,
      batch,
      "it is not behind the leaf before in the order of elections and voters",
    );
  }

  #found(kind: FindingKind, leaf: number, batch: LogBatch, detail: string): void {
    this.#findings.add({ kind, shardId: this.#shardId, leaf, batch: batch.number, detail });
  }
}

function isBefore(a: Buffer, aAt: number, b: Buffer, bAt: number): boolean {
  for (let i = 0; i < nullifierBytes; i++) {
    const difference = (a[aAt + i] as number) - (b[bAt + i] as number);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
