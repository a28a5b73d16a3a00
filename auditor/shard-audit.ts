/**
 * One pass over one shard, on its standby: what an audit of a shard is made of, in the order in which a row meets it.
 *
 *   stored-shard     head, slots and elections; where the log ends now: the cut
 *   vote-scan        rows, as they lie in the table
 *   row-intake       leaf hash, slot and voter of a row
 *   tile-window      rows put in the order of the log, 256 at a time
 *   log-walk         batches, counts, tree, tiles, signed roots
 */
import type pg from "pg";
import { tileWidth } from "#proto/ledger/tiles.ts";
import type { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import type { AuditedElection } from "./audited-election.ts";
import { type ChainStart, chainOrigin } from "./batch-chain.ts";
import { BatchFeed } from "./batch-feed.ts";
import type { FindingBook } from "./finding-book.ts";
import { LeafStore } from "./leaf-store.ts";
import { LogWalk, type WalkEnd } from "./log-walk.ts";
import { RowIntake } from "./row-intake.ts";
import type { ShardWitness } from "./shard-witness.ts";
import type { LogEnd } from "./stored-shard.ts";
import { TileWindow } from "./tile-window.ts";
import { lookUpRows, namedVoters } from "./vote-lookup.ts";
import { listPartitions, type Partition, VoteScan } from "./vote-scan.ts";
import type { VoterIndex } from "./voter-index.ts";

/** A table was written anew while it was read, so rows have changed places: the pass has to begin again. */
export class TableRewrittenError extends Error {}

/** Tiles without any row or stored hash that are walked through, side by side, before the rest is given up. */
const emptyTilesMax = 10_000;

/** Where a pass goes on: all leaves before were walked, and nothing was wrong with them. */
export type Resume = {
  readonly start: ChainStart;
  readonly tree: TreeFrontier;
  /** By table: where rows that came later begin, mostly. */
  readonly pages: ReadonlyMap<string, number>;
};

export type ShardPassOptions = {
  readonly shardId: number;
  /** For rows. */
  readonly rowsClient: pg.Client;
  /** For all that is read in between. */
  readonly client: pg.Client;
  readonly findings: FindingBook;
  readonly witness: ShardWitness | undefined;
  /** The end of the log at the cut, and what the shard has then. */
  readonly end: LogEnd;
  readonly elections: ReadonlyMap<number, AuditedElection>;
  readonly leavesBefore: ReadonlyMap<number, number>;
  readonly electionKeys: ReadonlyMap<number, number>;
  readonly ownSlots: Uint8Array;
  /** Undefined: only new rows are read. */
  readonly voters: VoterIndex | undefined;
  /** Undefined: from the first row. */
  readonly resume: Resume | undefined;
  readonly tilesHeldMax?: number | undefined;
  readonly onProgress: (rows: number) => void;
  readonly signal: AbortSignal;
};

export type ShardPass = {
  readonly rows: number;
  readonly signedLeaves: number;
  readonly laterRows: RowIntake["laterRows"];
  /** Undefined where the tree could not be made. */
  readonly resume: Resume | undefined;
};

export async function passOver(options: ShardPassOptions): Promise<ShardPass> {
  const partitions = await listPartitions(options.client);
  const pass = new Pass(options, partitions, await openWalk(options));
  await pass.readRows();
  const end = await pass.finish();
  await demandSameTables(options.client, partitions);
  return pass.outcome(end);
}

async function openWalk(options: ShardPassOptions): Promise<LogWalk> {
  const { shardId, client, findings, elections, witness, resume, end } = options;
  return new LogWalk({
    shardId,
    generation: end.head?.generation ?? 1,
    findings,
    elections,
    feed: new BatchFeed(client, resume?.start.number ?? 0, end.batch),
    store: await LeafStore.open(client, end.batch, end.leaves),
    signed: witness?.signedSizes() ?? [],
    start: resume?.start ?? chainOrigin,
    tree: resume?.tree,
    endLeaf: end.leaves,
  });
}

class Pass {
  readonly #options: ShardPassOptions;
  readonly #partitions: readonly Partition[];
  readonly #walk: LogWalk;
  readonly #window: TileWindow;
  readonly #intake: RowIntake;
  #emptyTiles = 0;

  constructor(options: ShardPassOptions, partitions: readonly Partition[], walk: LogWalk) {
    const { shardId, findings, elections, ownSlots, electionKeys, voters, end, resume, tilesHeldMax } = options;
    this.#options = options;
    this.#partitions = partitions;
    this.#walk = walk;
    const firstLeaf = Math.min(resume?.start.treeSize ?? 0, end.leaves);
    const window = new TileWindow(firstLeaf, end.leaves, tilesHeldMax);
    this.#window = window;
    const endBatch = end.batch;
    this.#intake = new RowIntake({ shardId, findings, elections, window, ownSlots, electionKeys, voters, endBatch });
  }

  async readRows(): Promise<void> {
    const { rowsClient, resume, leavesBefore, signal, onProgress } = this.#options;
    const leafOf = ({ electionNumber }: Partition) => leavesBefore.get(electionNumber ?? -1) ?? 0;
    const scan = new VoteScan(rowsClient, this.#partitions, leafOf, resume?.pages);
    while (!scan.isDone) {
      signal.throwIfAborted();
      await scan.read((row) => this.#intake.take(row));
      await this.#drain(false);
      onProgress(this.#walk.leaves);
    }
    await this.#drain(true);
    onProgress(this.#walk.leaves);
  }

  finish(): Promise<WalkEnd> {
    return this.#walk.finish();
  }

  outcome({ last, tree, signedLeaves }: WalkEnd): ShardPass {
    // A page before the last one may still have had room.
    const pages = new Map(this.#partitions.map(({ table, pages }) => [table, Math.max(0, pages - 1)]));
    const resume = tree === undefined ? undefined : { start: last, tree, pages };
    return { rows: this.#intake.rows, signedLeaves, laterRows: this.#intake.laterRows, resume };
  }

  /** Walks over the tiles that are complete; over all that are left once `all` rows have been seen. */
  async #drain(all: boolean): Promise<void> {
    const window = this.#window;
    while (!window.isDone) {
      if (!window.isNextComplete) {
        if (!all && !window.isOverfull) return;
        // Rows that came late may lie where older ones were vacuumed away.
        if (!all || this.#options.resume !== undefined) await this.#lookUp(window.next);
        if (all && (await this.#isHopeless())) return;
      }
      await this.#walkTile(all);
    }
  }

  async #walkTile(all: boolean): Promise<void> {
    const window = this.#window;
    const index = window.next;
    const slots = window.slotsOf(index);
    const tile = window.takeNext();
    this.#emptyTiles = tile.count === 0 ? this.#emptyTiles + 1 : 0;
    if (!all) for (const leaf of missingLeaves(index, slots, (slot) => tile.has(slot))) this.#intake.miss(leaf);
    await this.#walk.take(tile, index, slots);
    window.giveBack(tile);
  }

  async #lookUp(index: number): Promise<void> {
    const { client } = this.#options;
    const tile = this.#window.tileOf(Math.max(index * tileWidth, this.#window.firstLeaf));
    const missing = missingLeaves(index, this.#window.slotsOf(index), (slot) => tile?.has(slot) === true);
    const tables = this.#partitions.map(({ table }) => table);
    await lookUpRows(client, tables, await namedVoters(client, missing), (row) => this.#intake.takeLookedUp(row));
  }

  /** A log that claims leaves of which there is no trace would be walked for ever. */
  async #isHopeless(): Promise<boolean> {
    const window = this.#window;
    const isOver = window.held === 0 && this.#intake.farthestLeaf < window.next * tileWidth;
    if (!isOver && this.#emptyTiles < emptyTilesMax) return false;
    if (await this.#walk.hasStored(window.next)) return false;
    this.#walk.giveUp(Math.max(window.firstLeaf, window.next * tileWidth), window.endLeaf);
    return true;
  }
}

function missingLeaves(
  index: number,
  [first, end]: readonly [first: number, end: number],
  has: (slot: number) => boolean,
): number[] {
  const leaves: number[] = [];
  for (let slot = first; slot < end; slot++) if (!has(slot)) leaves.push(index * tileWidth + slot);
  return leaves;
}

async function demandSameTables(client: pg.Client, before: readonly Partition[]): Promise<void> {
  const after = new Map((await listPartitions(client)).map(({ table, fileNode }) => [table, fileNode]));
  const changed = before.find(({ table, fileNode }) => after.get(table) !== fileNode);
  if (changed !== undefined) throw new TableRewrittenError(`${changed.table} was written anew while it was read`);
}
