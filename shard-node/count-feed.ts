/**
 * The counts that are durable, batch by batch, for whoever follows them: the newest batches from memory, older ones summed
 * by Postgres. Only batches up to the durable mark are ever in it (design, cast path 9).
 */

import type { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { CountDeltas } from "./batch.ts";

export type FeedChange = { readonly electionId: string; readonly state: ElectionState };

/** The ledger at a batch: how many leaves, and the root of the tree over them. */
export type LedgerHead = { readonly size: number; readonly root: Buffer };

export type FeedBatch = {
  readonly number: number;
  readonly ledgerHead: LedgerHead;
  readonly stampMs: number;
  readonly deltas: CountDeltas;
  readonly changes: readonly FeedChange[];
};

/** Batches, and count deltas in them, kept in memory (I9); a reader that is further behind is served from the batch log. */
const recentMax = 512;
const recentDeltasMax = 500_000;

export class CountFeed {
  #recent: FeedBatch[] = [];
  #recentDeltas = 0;
  #durableBatch: number;
  #stampMs: number;
  #ledgerHead: LedgerHead;
  #deltasPublished = 0;
  readonly #waiting = new Set<() => void>();

  /** Where the log ends now: all of it is durable. */
  constructor(durableBatch: number, stampMs: number, ledgerHead: LedgerHead) {
    this.#durableBatch = durableBatch;
    this.#stampMs = stampMs;
    this.#ledgerHead = ledgerHead;
  }

  /** The durable mark: the newest batch whose commit, or a takeover after it, returned clean. */
  get durableBatch(): number {
    return this.#durableBatch;
  }

  /** At the durable mark. */
  get ledgerHead(): LedgerHead {
    return this.#ledgerHead;
  }

  get stampMs(): number {
    return this.#stampMs;
  }

  /** How many count deltas went through here so far. */
  get deltasPublished(): number {
    return this.#deltasPublished;
  }

  publish(batch: FeedBatch): void {
    if (batch.number !== this.#durableBatch + 1) {
      throw new Error(`batch ${batch.number} was published after batch ${this.#durableBatch} (I5)`);
    }
    this.#recent.push(batch);
    this.#recentDeltas += batch.deltas.n.length;
    if (this.#recent.length > recentMax || this.#recentDeltas > recentDeltasMax) this.#forgetOlderHalf();
    this.#durableBatch = batch.number;
    this.#stampMs = batch.stampMs;
    this.#ledgerHead = batch.ledgerHead;
    this.#deltasPublished += batch.deltas.n.length;
    for (const wake of [...this.#waiting]) wake();
  }

  #forgetOlderHalf(): void {
    this.#recent = this.#recent.slice(Math.ceil(this.#recent.length / 2));
    this.#recentDeltas = this.#recent.reduce((sum, { deltas }) => sum + deltas.n.length, 0);
  }

  /** The batches after this one, all of them, or undefined when memory does not reach so far back. */
  after(batch: number): readonly FeedBatch[] | undefined {
    const first = this.#recent[0]?.number ?? this.#durableBatch + 1;
    if (batch + 1 < first) return undefined;
    return this.#recent.slice(batch + 1 - first);
  }

  /** Resolves when a batch after this one is durable, or when the signal aborts. */
  async reaches(batch: number, signal: AbortSignal): Promise<void> {
    while (this.#durableBatch < batch && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      });
    }
  }
}
