/** Votes without end in the background, through all routers, until they are told to stop: each is sent until it is settled. */
import type { StoryCaster } from "#bench/story-caster.ts";
import { storyVote } from "#bench/story-election.ts";
import type { SentVote, ToldOutcome } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";

export type StormOptions = {
  readonly caster: StoryCaster;
  readonly electionId: string;
  /** The number of the next voter of the election. */
  readonly nextVoter: () => number;
  /** Batches under way at a time; default 4. */
  readonly workers?: number;
  readonly batchVotes?: number;
  /** How long a vote may stay without a final outcome. */
  readonly patienceMs?: number;
};

/** Every so many batches, one that has been acknowledged is sent again with the next. */
const repeatEvery = 3;
const waitLimitMs = 40_000;

export class Storm implements AsyncDisposable {
  readonly #options: StormOptions;
  readonly #workers: readonly Promise<void>[];
  readonly #receipts = new Map<string, string>();
  readonly #refused = new Map<string, number>();
  #stopping = false;
  #sent = 0;
  #acknowledged = 0;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#workers = Array.from({ length: options.workers ?? 4 }, (_, worker) => this.#work(worker));
    // A worker that fails is heard of at `stop`; until then it is no unhandled rejection.
    for (const worker of this.#workers) worker.catch(() => {});
  }

  /** Votes that were sent at least once. */
  get sent(): number {
    return this.#sent;
  }

  /** Votes that have their receipt. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Votes that were finally refused, by reason. */
  get refused(): ReadonlyMap<string, number> {
    return this.#refused;
  }

  /** Resolves when so many more votes are acknowledged than now. */
  async untilMore(votes: number, limitMs = waitLimitMs): Promise<void> {
    const target = this.#acknowledged + votes;
    await waitFor(`${votes} more votes`, limitMs, () => (this.#acknowledged >= target ? true : undefined));
  }

  /** Resolves when the election's votes are refused for this reason. */
  async untilRefused(reason: string): Promise<void> {
    await waitFor(`votes refused as ${reason}`, waitLimitMs, () =>
      (this.#refused.get(reason) ?? 0) > 0 ? true : undefined,
    );
  }

  /** Resolves when every vote that was sent has its final outcome. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled(this.#workers);
  }

  async #work(worker: number): Promise<void> {
    const { caster, batchVotes = 25, patienceMs } = this.#options;
    let last: SentVote[] = [];
    for (let turn = 0; !this.#stopping; turn++) {
      const fresh = Array.from({ length: batchVotes }, () => this.#freshVote());
      const again = turn % repeatEvery === repeatEvery - 1 ? last : [];
      const votes = [...fresh, ...again];
      this.#sent += fresh.length;
      const told = await caster.castUntilSettled(votes, {
        router: worker + turn,
        ...(patienceMs === undefined ? {} : { patienceMs }),
      });
      for (const [i, vote] of votes.entries()) this.#note(vote, told[i] as ToldOutcome);
      last = fresh.filter((_, i) => "receipt" in (told[i] as ToldOutcome));
    }
  }

  #freshVote(): SentVote {
    return storyVote(this.#options.electionId, this.#options.nextVoter());
  }

  #note({ voterId }: SentVote, told: ToldOutcome): void {
    if (!("receipt" in told)) {
      const reason = told.kind === "refused" ? told.reason : told.kind;
      this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
      if (this.#receipts.has(voterId)) throw new Error(`${voterId} has its receipt and is refused: ${reason} (I3)`);
      return;
    }
    const { receiptId } = told.receipt;
    const first = this.#receipts.get(voterId);
    if (first === undefined) {
      this.#acknowledged++;
      this.#receipts.set(voterId, receiptId);
    } else if (first !== receiptId) {
      throw new Error(`${voterId} was given ${first} and ${receiptId} (I3)`);
    }
  }
}
