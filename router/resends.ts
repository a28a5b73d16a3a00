/**
 * Votes that one shard sent back: it does not own their slot, or does not know what became of them. They are routed again
 * after a pause, so that a map or a takeover that is on its way can arrive, and no loop runs hot. Only a few rounds are under
 * way at once, a vote is sent only so many times, and none outlives its deadline: a shard that sends everything back for ever
 * must not use up what the others need (I9).
 */
import { setTimeout as delay } from "node:timers/promises";
import type { BulkheadPolicy } from "cockatiel";
import { bulkhead } from "cockatiel";
import type { Directory } from "#mesh/directory.ts";
import { within } from "#mesh/time-limit.ts";
import { backoffMs } from "./backoff.ts";
import type { ResendCause, ShedMetrics } from "./shed-metrics.ts";
import type { VoteTable } from "./vote-table.ts";

export type ResendLimits = {
  /** Times that one vote is sent; then its caller is told what is known. */
  readonly sendsMax: number;
  /** Rounds of votes, each of one frame, that pause at once; further ones wait for them. */
  readonly roundsMax: number;
};

export type ResendParts = {
  readonly table: VoteTable;
  readonly directory: Directory;
  readonly metrics: ShedMetrics;
  readonly limits: ResendLimits;
  /** Takes a vote that nobody holds. */
  readonly route: (row: number) => void;
};

const refreshLimitMs = 1_000;

export class Resends {
  readonly #parts: ResendParts;
  readonly #rounds: BulkheadPolicy;
  /** Held here. */
  readonly #parked = new Set<number>();

  constructor(parts: ResendParts) {
    this.#parts = parts;
    // The line is as long as votes are held at most: admission bounds those.
    this.#rounds = bulkhead(parts.limits.roundsMax, Number.POSITIVE_INFINITY);
  }

  get parked(): number {
    return this.#parked.size;
  }

  /** The votes are unsettled and held by nobody. */
  sendAgain(rows: readonly number[], cause: ResendCause): void {
    const { table, metrics, limits } = this.#parts;
    const again: number[] = [];
    for (const row of rows) {
      if (table.sends(row) >= limits.sendsMax) {
        table.refuseSend(row, "SHARD_UNAVAILABLE");
        continue;
      }
      table.hold(row);
      this.#parked.add(row);
      again.push(row);
    }
    metrics.gaveUp(rows.length - again.length);
    metrics.resent(cause, again.length);
    if (again.length > 0) void this.#rounds.execute(() => this.#round(again, cause === "wrong_shard"));
  }

  /** Returns the votes that were still held and not settled. Nobody holds them then. */
  close(): number[] {
    const parked = [...this.#parked];
    this.#parked.clear();
    return parked.filter((row) => this.#parts.table.release(row));
  }

  async #round(rows: readonly number[], refresh: boolean): Promise<void> {
    const { table, directory, route } = this.#parts;
    const { epoch } = directory.current.map;
    if (refresh) await within(refreshLimitMs, directory.refresh());
    const isNewer = directory.current.map.epoch > epoch;
    if (!isNewer) {
      const sends = rows.reduce((fewest, row) => Math.min(fewest, table.sends(row)), Number.POSITIVE_INFINITY);
      await delay(backoffMs(sends - 1), undefined, { ref: false });
    }
    for (const row of rows) if (this.#parked.delete(row) && table.release(row)) route(row);
  }
}
