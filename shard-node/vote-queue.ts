/**
 * Votes received and not yet in a batch: bounded in count, in bytes and by how long the oldest has waited, so that refusal comes
 * before collapse (I9).
 */
import { QueueDelay, type QueueDelayLimits } from "#mesh/queue-delay.ts";
import type { WaitingVote } from "./vote-frame.ts";

export type QueueLimits = {
  readonly votesMax: number;
  readonly bytesMax: number;
  /** Beyond it no new votes are taken. */
  readonly delay: QueueDelayLimits;
};

/** What one waiting vote costs beyond its ballot: the object, its strings and its place in the frame's answer. */
const overheadBytes = 256;

export class VoteQueue {
  readonly #limits: QueueLimits;
  readonly #delay: QueueDelay;
  #votes: WaitingVote[] = [];
  #bytes = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
    this.#delay = new QueueDelay(limits.delay);
  }

  get length(): number {
    return this.#votes.length;
  }

  /** All of the votes, or none: false when they would pass a limit. */
  offer(votes: readonly WaitingVote[], nowMs = performance.now()): boolean {
    const oldest = this.#votes[0];
    this.#delay.look(oldest === undefined ? 0 : nowMs - oldest.frame.receivedAtMs, nowMs);
    if (this.#delay.overloaded) return false;
    const bytes = sizeOf(votes);
    if (this.#votes.length + votes.length > this.#limits.votesMax) return false;
    if (this.#bytes + bytes > this.#limits.bytesMax) return false;
    for (const vote of votes) this.#votes.push(vote);
    this.#bytes += bytes;
    return true;
  }

  /** The oldest votes, at most so many and, but for the first, so many bytes. */
  take(votesMax: number, bytesMax: number): WaitingVote[] {
    let count = 0;
    let bytes = 0;
    for (const vote of this.#votes) {
      const next = bytes + overheadBytes + vote.ballotLength;
      if (count >= votesMax || (count > 0 && next > bytesMax)) break;
      bytes = next;
      count += 1;
    }
    const taken = this.#votes.slice(0, count);
    this.#votes = this.#votes.slice(count);
    this.#bytes -= bytes;
    return taken;
  }

  /** Votes of a batch that was certainly not stored go first again. They were counted before, so no limit applies. */
  putBack(votes: readonly WaitingVote[]): void {
    this.#votes = [...votes, ...this.#votes];
    this.#bytes += sizeOf(votes);
  }
}

function sizeOf(votes: readonly WaitingVote[]): number {
  let bytes = 0;
  for (const vote of votes) bytes += overheadBytes + vote.ballotLength;
  return bytes;
}
