/**
 * Votes that one shard sent back: it does not own their slot, or does not know what became of them. They are routed again
 * after a pause, so that a map or a takeover that is on its way can arrive, and no loop runs hot. Votes that came back equally
 * often for the same cause wait together, in however many frames they came: a writer that ends sends back hundreds. Only a few
 * rounds are under way at once, a vote is sent only so many times, and none outlives its deadline: a shard that sends
 * everything back for ever must not use up what the others need (I9).
 */
import { setTimeout as delay } from "node:timers/promises";
import type { BulkheadPolicy } from "cockatiel";
import { bulkhead } from "cockatiel";
import type { Directory } from "#mesh/directory.ts";
import { within } from "#mesh/time-limit.ts";
import { backoffMs, longestFrom } from "./backoff.ts";
import type { ResendCause, ShedMetrics } from "./shed-metrics.ts";
import type { VoteTable } from "./vote-table.ts";

export type ResendLimits = {
  /** Times that one vote is sent; then its caller is told what is known. */
  readonly sendsMax: number;
  /** Rounds of votes that pause at once; what comes back meanwhile goes with the next ones. */
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

/** Votes that wait for their round: they came back for this cause, this often, or so often that the pause grows no more. */
type Line = { readonly cause: ResendCause; readonly tries: number; rows: number[]; hasRound: boolean };

const refreshLimitMs = 1_000;

export class Resends {
  readonly #parts: ResendParts;
  readonly #rounds: BulkheadPolicy;
  /** Held here. */
  readonly #parked = new Set<number>();
  readonly #lines: Line[] = [];

  constructor(parts: ResendParts) {
    this.#parts = parts;
    // A line has one round that has not begun, and there are few lines.
    this.#rounds = bulkhead(parts.limits.roundsMax, Number.POSITIVE_INFINITY);
  }

  get parked(): number {
    return this.#parked.size;
  }

  /** The votes are unsettled and held by nobody. */
  sendAgain(rows: readonly number[], cause: ResendCause): void {
    const { table, metrics, limits } = this.#parts;
    let givenUp = 0;
    for (const row of rows) {
      const sends = table.sends(row);
      if (sends >= limits.sendsMax) {
        table.refuseSend(row, "SHARD_UNAVAILABLE");
        givenUp += 1;
        continue;
      }
      table.hold(row);
      this.#parked.add(row);
      this.#lineOf(cause, Math.min(sends - 1, longestFrom)).rows.push(row);
    }
    this.#beginRounds();
    metrics.gaveUp(givenUp);
    metrics.resent(cause, rows.length - givenUp);
  }

  /** Returns the votes that were still held and not settled. Nobody holds them then. */
  close(): number[] {
    const parked = [...this.#parked];
    this.#parked.clear();
    return parked.filter((row) => this.#parts.table.release(row));
  }

  #lineOf(cause: ResendCause, tries: number): Line {
    let line = this.#lines.find((candidate) => candidate.cause === cause && candidate.tries === tries);
    if (line === undefined) {
      line = { cause, tries, rows: [], hasRound: false };
      this.#lines.push(line);
    }
    return line;
  }

  #beginRounds(): void {
    for (const line of this.#lines) {
      if (line.rows.length === 0 || line.hasRound) continue;
      line.hasRound = true;
      void this.#rounds.execute(() => this.#round(line));
    }
  }

  /** Of all that wait in the line when it begins. */
  async #round(line: Line): Promise<void> {
    const { table, directory, route } = this.#parts;
    const { cause, tries, rows } = line;
    line.rows = [];
    line.hasRound = false;
    const { epoch } = directory.current.map;
    if (cause === "wrong_shard") await within(refreshLimitMs, directory.refresh());
    const isNewer = directory.current.map.epoch > epoch;
    if (!isNewer) await delay(backoffMs(tries), undefined, { ref: false });
    for (const row of rows) if (this.#parked.delete(row) && table.release(row)) route(row);
  }
}
