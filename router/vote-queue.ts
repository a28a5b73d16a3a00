/** Votes of one shard that wait to be sent, by election, each in arrival order. Settled ones are skipped and let go. */
import { frameVotesMax } from "#proto/limits.ts";
import type { CachedElection } from "./election-cache.ts";
import { identityBytes } from "./nullifier.ts";
import { QueueAge } from "./queue-age.ts";
import type { VoteTable } from "./vote-table.ts";

/** Bytes of one frame's columns; far below what one message may have. */
const frameBytesMax = 1024 * 1024;
const laneRowsMin = 256;

/** Rows of the vote table, first in first out. */
class Lane {
  #rows = new Uint32Array(laneRowsMin);
  #head = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#head;
  }

  push(row: number): void {
    if (this.#head === this.#end) {
      this.#head = 0;
      this.#end = 0;
    }
    if (this.#end === this.#rows.length) this.#makeRoom();
    this.#rows[this.#end++] = row;
  }

  /** Only of a lane that is not empty. */
  shift(): number {
    return this.#rows[this.#head++] ?? 0;
  }

  unshift(rows: Uint32Array): void {
    const joined = new Uint32Array(Math.max(laneRowsMin, 2 * (rows.length + this.length)));
    joined.set(rows);
    joined.set(this.#rows.subarray(this.#head, this.#end), rows.length);
    this.#end = rows.length + this.length;
    this.#head = 0;
    this.#rows = joined;
  }

  keepOnly(isKept: (row: number) => boolean): void {
    let end = this.#head;
    for (let i = this.#head; i < this.#end; i++) {
      const row = this.#rows[i] ?? 0;
      if (isKept(row)) this.#rows[end++] = row;
    }
    this.#end = end;
  }

  /** Moves what is left to the front, into twice the room when more than half of it is in use. */
  #makeRoom(): void {
    const { length } = this;
    const rows = length * 2 > this.#rows.length ? new Uint32Array(this.#rows.length * 2) : this.#rows;
    rows.set(this.#rows.subarray(this.#head, this.#end));
    this.#rows = rows;
    this.#head = 0;
    this.#end = length;
  }
}

/** Rows of the vote table, all of one election; whoever has them holds the votes. */
export type FrameVotes = { readonly election: CachedElection; readonly rows: Uint32Array };

const taken = new Uint32Array(frameVotesMax);

export class VoteQueue {
  readonly #table: VoteTable;
  readonly #lanes = new Map<CachedElection, Lane>();
  /** An empty lane: most are emptied by every frame and needed again at once. */
  #spare: Lane | undefined;
  readonly #age = new QueueAge();
  #length = 0;
  #come = 0;

  constructor(table: VoteTable) {
    this.#table = table;
  }

  /** Votes in the queue, settled ones included. */
  get length(): number {
    return this.#length;
  }

  push(election: CachedElection, row: number): void {
    this.#table.hold(row);
    this.#lane(election).push(row);
    this.#length += 1;
    this.#come += 1;
  }

  /** To be called now and then while votes come: what has come since the last time counts as come now. */
  mark(nowMs: number): void {
    this.#age.mark(this.#come, nowMs);
  }

  /** How long the oldest vote has waited; 0 when none waits. */
  oldestMs(nowMs: number): number {
    return this.#age.oldestMs(this.#come - this.#length, nowMs);
  }

  /** Puts votes that were sent in vain before all others, in their old order. */
  unshift(election: CachedElection, rows: Uint32Array): void {
    for (const row of rows) this.#table.hold(row);
    this.#lane(election).unshift(rows);
    this.#length += rows.length;
  }

  /** The votes of the next frame: of the election that was served longest ago. Undefined when nothing waits. */
  next(): FrameVotes | undefined {
    for (const [election, lane] of this.#lanes) {
      const rows = this.#take(lane);
      this.#lanes.delete(election);
      // An election with more to send goes to the end of the line.
      if (lane.length > 0) this.#lanes.set(election, lane);
      else this.#spare = lane;
      if (rows.length > 0) return { election, rows };
    }
    return undefined;
  }

  /** Lets go of all settled votes: their callers have been answered at their deadlines. */
  sweep(): void {
    for (const [election, lane] of this.#lanes) {
      const before = lane.length;
      lane.keepOnly((row) => !this.#table.settled(row) || this.#table.release(row));
      this.#length -= before - lane.length;
      if (lane.length === 0) this.#lanes.delete(election);
    }
  }

  /** Empties the queue. The votes are unsettled, and held by nobody then. */
  takeAll(): number[] {
    const all: number[] = [];
    for (let frame = this.next(); frame !== undefined; frame = this.next()) all.push(...frame.rows);
    for (const row of all) this.#table.release(row);
    return all;
  }

  #lane(election: CachedElection): Lane {
    let lane = this.#lanes.get(election);
    if (lane === undefined) {
      lane = this.#spare ?? new Lane();
      this.#spare = undefined;
      this.#lanes.set(election, lane);
    }
    return lane;
  }

  #take(lane: Lane): Uint32Array {
    let votes = 0;
    let bytes = 0;
    while (lane.length > 0 && votes < frameVotesMax && bytes < frameBytesMax) {
      const row = lane.shift();
      this.#length -= 1;
      if (this.#table.settled(row)) {
        this.#table.release(row);
        continue;
      }
      bytes += identityBytes + this.#table.ballotLength(row);
      taken[votes++] = row;
    }
    return taken.slice(0, votes);
  }
}
