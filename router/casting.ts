/**
 * A vote's way through the router: admitted, checked against its election, given its nullifier, handed to its shard. From
 * admission on it is settled exactly once (I4): by its shard, by a failed check, or by the end of its time.
 */
import type { Logger } from "#mesh/log.ts";
import type { Vote } from "#proto/generated/urna/v1/vote_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import type { Admission } from "./admission.ts";
import { ballotBytes, checkBallot, writeBallot } from "./ballot-form.ts";
import type { CachedElection, ElectionCache } from "./election-cache.ts";
import { identityBytes } from "./nullifier.ts";
import type { VoteOwner } from "./pending-vote.ts";
import { PendingVote, plainRejection } from "./pending-vote.ts";
import type { ShardLinks } from "./shard-links.ts";

export type CastingParts = {
  readonly cache: ElectionCache;
  readonly admission: Admission;
  readonly log: Logger;
};

/** Votes that were answered at their deadlines are let go of together. */
const sweepPauseMs = 50;

export class Casting {
  readonly #parts: CastingParts;
  #links: ShardLinks | undefined;
  #sweep: NodeJS.Timeout | undefined;
  /** Votes whose election is being looked up. */
  readonly #lookingUp = new Set<PendingVote>();

  constructor(parts: CastingParts) {
    this.#parts = parts;
  }

  /** The links need the casting too, for votes that were checked against an outdated definition. */
  connect(links: ShardLinks): void {
    this.#links = links;
  }

  /** Takes one vote; its owner hears its outcome once, perhaps before this returns. `answerAtMs` is by performance.now(). */
  cast(owner: VoteOwner, index: number, source: Vote, answerAtMs: number): PendingVote | undefined {
    const vote = PendingVote.admit(owner, index, source, answerAtMs, this.#parts.admission);
    if (vote === undefined) owner.refused(index, plainRejection("OVERLOADED"));
    else this.#check(vote);
    return vote;
  }

  /** The shard holds another definition than the one that the votes were checked against: the next ones are read anew. */
  refuseOutdated(votes: readonly PendingVote[]): void {
    for (const vote of votes) {
      if (vote.election !== undefined) this.#parts.cache.drop(vote.election);
      vote.refuseSend("SHARD_UNAVAILABLE");
    }
  }

  /** Ends what has not been settled: the caller's time is over. */
  expire(votes: Iterable<PendingVote | undefined>): void {
    for (const vote of votes) vote?.expire();
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined;
      this.#links?.sweep();
    }, sweepPauseMs).unref();
  }

  /** Ends whatever has not been settled by now, wherever it is. */
  close(): void {
    clearTimeout(this.#sweep);
    for (const vote of [...(this.#links?.close() ?? []), ...this.#lookingUp]) vote.expire();
  }

  #check(vote: PendingVote): void {
    try {
      const election = this.#parts.cache.peek(vote.electionId);
      if (election === undefined) void this.#lookUpThenPrepare(vote);
      else this.#prepare(vote, election);
    } catch (cause) {
      this.#refuse(vote, cause);
    }
  }

  async #lookUpThenPrepare(vote: PendingVote): Promise<void> {
    vote.hold();
    this.#lookingUp.add(vote);
    let election: CachedElection | undefined;
    try {
      election = await this.#parts.cache.get(vote.electionId);
    } catch (cause) {
      this.#refuse(vote, cause);
    } finally {
      this.#lookingUp.delete(vote);
      vote.release();
    }
    if (election !== undefined && !vote.settled) this.#tryPrepare(vote, election);
  }

  #tryPrepare(vote: PendingVote, election: CachedElection): void {
    try {
      this.#prepare(vote, election);
    } catch (cause) {
      this.#refuse(vote, cause);
    }
  }

  #prepare(vote: PendingVote, election: CachedElection): void {
    const { source } = vote;
    if (source === undefined) throw new Error("a vote is checked twice");
    const { voterId, region } = checkBallot(election.shape, source);
    const columns = Buffer.allocUnsafe(identityBytes + ballotBytes());
    writeBallot(columns, identityBytes);
    election.nullifiers.writeIdentity(columns, voterId, source.idempotencyKey);
    vote.election = election;
    vote.columns = columns;
    vote.region = region;
    vote.source = undefined;
    if (this.#links === undefined) throw new Error("votes are cast before the links are there");
    this.#links.route(vote);
  }

  #refuse(vote: PendingVote, cause: unknown): void {
    if (!(cause instanceof RejectionError)) {
      this.#parts.log.error({ err: cause, election: vote.electionId }, "a vote failed for an unknown cause");
      vote.refuseSend("INTERNAL");
    } else if (vote.sends > 0) vote.refuseSend(cause.reason);
    else vote.refuse(cause);
  }
}
