/** Votes of one shard that wait to be sent, by election, each in arrival order. Settled ones are skipped and let go. */
import { frameVotesMax } from "#proto/limits.ts";
import type { CachedElection } from "./election-cache.ts";
import type { PendingVote } from "./pending-vote.ts";

/** Bytes of one frame's columns; far below what one message may have. */
const frameBytesMax = 1024 * 1024;
/** A list is compacted when its used-up head is longer than this and than the rest. */
const compactAt = 1_024;

type Lane = { votes: PendingVote[]; head: number };

export type FrameVotes = { readonly election: CachedElection; readonly votes: readonly PendingVote[] };

export class VoteQueue {
  readonly #lanes = new Map<CachedElection, Lane>();
  #length = 0;

  /** Votes in the queue, settled ones included. */
  get length(): number {
    return this.#length;
  }

  push(election: CachedElection, vote: PendingVote): void {
    vote.hold();
    this.#lane(election).votes.push(vote);
    this.#length += 1;
  }

  /** Puts votes that were sent in vain before all others, in their old order. */
  unshift(election: CachedElection, votes: readonly PendingVote[]): void {
    for (const vote of votes) vote.hold();
    const lane = this.#lane(election);
    lane.votes = [...votes, ...lane.votes.slice(lane.head)];
    lane.head = 0;
    this.#length += votes.length;
  }

  /** The votes of the next frame: of the election that was served longest ago. Undefined when nothing waits. */
  next(): FrameVotes | undefined {
    for (const [election, lane] of this.#lanes) {
      const votes = this.#take(lane);
      this.#lanes.delete(election);
      // An election with more to send goes to the end of the line.
      if (lane.head < lane.votes.length) this.#lanes.set(election, lane);
      if (votes.length > 0) return { election, votes };
    }
    return undefined;
  }

  /** Lets go of all settled votes: their callers have been answered at their deadlines. */
  sweep(): void {
    for (const [election, lane] of this.#lanes) {
      const waiting: PendingVote[] = [];
      for (let i = lane.head; i < lane.votes.length; i++) {
        const vote = lane.votes[i];
        if (vote === undefined) continue;
        if (vote.settled) vote.release();
        else waiting.push(vote);
      }
      this.#length -= lane.votes.length - lane.head - waiting.length;
      if (waiting.length === 0) this.#lanes.delete(election);
      lane.votes = waiting;
      lane.head = 0;
    }
  }

  /** Empties the queue. The votes are held by nobody then. */
  takeAll(): PendingVote[] {
    const all: PendingVote[] = [];
    for (let frame = this.next(); frame !== undefined; frame = this.next()) all.push(...frame.votes);
    for (const vote of all) vote.release();
    return all;
  }

  #lane(election: CachedElection): Lane {
    let lane = this.#lanes.get(election);
    if (lane === undefined) {
      lane = { votes: [], head: 0 };
      this.#lanes.set(election, lane);
    }
    return lane;
  }

  #take(lane: Lane): PendingVote[] {
    const taken: PendingVote[] = [];
    let bytes = 0;
    while (lane.head < lane.votes.length && taken.length < frameVotesMax && bytes < frameBytesMax) {
      const vote = lane.votes[lane.head++];
      if (vote === undefined) continue;
      this.#length -= 1;
      if (vote.settled) {
        vote.release();
        continue;
      }
      bytes += vote.columns.length;
      taken.push(vote);
    }
    if (lane.head > compactAt && lane.head * 2 > lane.votes.length) {
      lane.votes = lane.votes.slice(lane.head);
      lane.head = 0;
    }
    return taken;
  }
}
