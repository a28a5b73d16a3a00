/**
 * A vote's way through the router: admitted, checked against its election, given its nullifier, handed to its shard. From
 * admission on it is settled exactly once (I4): by its shard, by a failed check, or by the end of its time.
 */
import type { Logger } from "#mesh/log.ts";
import { RejectionError } from "#proto/rejections.ts";
import { checkBallot } from "./ballot-form.ts";
import type { CachedElection, ElectionCache } from "./election-cache.ts";
import type { ReceivedVotes } from "./received-votes.ts";
import type { ShardLinks } from "./shard-links.ts";
import type { ShedMetrics } from "./shed-metrics.ts";
import type { VoteOwner, VoteTable } from "./vote-table.ts";
import { noRow, plainRejection } from "./vote-table.ts";

export type CastingParts = {
  readonly cache: ElectionCache;
  readonly table: VoteTable;
  readonly log: Logger;
  /** What a vote is told that finds the router full. */
  readonly overloaded: () => RejectionError;
  readonly metrics: ShedMetrics;
};

/** Votes that were answered at their deadlines are let go of together. */
const sweepPauseMs = 50;

export class Casting {
  readonly #parts: CastingParts;
  #links: ShardLinks | undefined;
  #sweep: NodeJS.Timeout | undefined;
  /** Rows of votes whose election is being looked up. */
  readonly #lookingUp = new Set<number>();

  constructor(parts: CastingParts) {
    this.#parts = parts;
  }

  /** The links need the casting too, for votes that were checked against an outdated definition. */
  connect(links: ShardLinks): void {
    this.#links = links;
  }

  /** Throws OVERLOADED while there is room for no vote at all: a whole call is refused before it is read. */
  demandRoom(): void {
    if (this.#parts.table.hasRoom) return;
    this.#parts.metrics.shed("unread");
    throw this.#parts.overloaded();
  }

  /**
   * Takes the vote that is `at` in `votes`; its owner hears its outcome once, by its own `index` for it, perhaps before this
   * returns. `answerAtMs` is by performance.now(). Returns the vote's row in the table, which is its owner's to name until then.
   */
  cast(owner: VoteOwner, index: number, votes: ReceivedVotes, at: number, answerAtMs: number): number {
    const { table } = this.#parts;
    const row = table.admit(owner, index, votes.weights[at] ?? 0, answerAtMs, votes.keyLengths[at] === 0);
    if (row === noRow) {
      this.#parts.metrics.shed("router");
      owner.refused(index, this.#parts.overloaded());
    } else this.#check(row, votes, at);
    return row;
  }

  /** The shard holds another definition than the one that the votes were checked against: the next ones are read anew. */
  refuseOutdated(rows: readonly number[]): void {
    const { table, cache } = this.#parts;
    for (const row of rows) {
      const election = table.election(row);
      if (election !== undefined) cache.drop(election);
      table.refuseSend(row, "SHARD_UNAVAILABLE");
    }
  }

  /** Ends unsettled votes: their caller's time is over. */
  expire(rows: Iterable<number>): void {
    for (const row of rows) this.#parts.table.expire(row);
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined;
      this.#links?.sweep();
    }, sweepPauseMs).unref();
  }

  /** Ends whatever has not been settled by now, wherever it is. */
  close(): void {
    clearTimeout(this.#sweep);
    for (const row of [...(this.#links?.close() ?? []), ...this.#lookingUp]) this.#parts.table.expire(row);
  }

  #check(row: number, votes: ReceivedVotes, at: number): void {
    try {
      const election = this.#parts.cache.peek(votes.electionIds[at] ?? "");
      if (election === undefined) void this.#lookUpThenPrepare(row, votes, at);
      else this.#prepare(row, election, votes, at);
    } catch (cause) {
      this.#refuse(row, cause, votes, at);
    }
  }

  async #lookUpThenPrepare(row: number, votes: ReceivedVotes, at: number): Promise<void> {
    const { cache, table } = this.#parts;
    votes.keep();
    table.hold(row);
    this.#lookingUp.add(row);
    let election: CachedElection | undefined;
    try {
      election = await cache.get(votes.electionIds[at] ?? "");
    } catch (cause) {
      this.#refuse(row, cause, votes, at);
    }
    this.#lookingUp.delete(row);
    if (!table.release(row) || election === undefined) return;
    try {
      this.#prepare(row, election, votes, at);
    } catch (cause) {
      this.#refuse(row, cause, votes, at);
    }
  }

  #prepare(row: number, election: CachedElection, votes: ReceivedVotes, at: number): void {
    const { table } = this.#parts;
    if (this.#links === undefined) throw new Error("votes are cast before the links are there");
    const region = checkBallot(election.shape, votes, at);
    const offset = table.prepare(row, election, region);
    election.nullifiers.writeIdentity(table.identities, offset, votes, at);
    this.#links.route(row);
  }

  /** Of a vote that was never sent. */
  #refuse(row: number, cause: unknown, votes: ReceivedVotes, at: number): void {
    if (cause instanceof RejectionError) {
      this.#parts.table.refuse(row, cause);
      return;
    }
    this.#parts.log.error({ err: cause, election: votes.electionIds[at] }, "a vote failed for an unknown cause");
    this.#parts.table.refuse(row, plainRejection("INTERNAL"));
  }
}
