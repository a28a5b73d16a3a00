/**
 * Who is let in to one shard. A vote is refused at once, with a time to come back, where letting it in would do harm: too many
 * are there already, what waits has waited for too long, or the shard stands still. What is in stays in; only a shard that is
 * taken out of service lets go of votes that it was never sent.
 */
import type { QueueDelayLimits } from "#mesh/queue-delay.ts";
import { QueueDelay } from "#mesh/queue-delay.ts";
import type { RejectionError } from "#proto/rejections.ts";
import { DrainRate, RetryAdvice } from "./retry-advice.ts";
import type { BreakerLimits, BreakerState } from "./shard-breaker.ts";
import { ShardBreaker } from "./shard-breaker.ts";

/** How a shard stands at a look. */
export type ShardView = {
  /** Has a stream to its writer. */
  readonly connected: boolean;
  /** Votes sent and not answered. */
  readonly outstanding: number;
  readonly waiting: number;
  /** How long the oldest of the waiting has waited. */
  readonly oldestWaitingMs: number;
  /** Votes that the shard has settled so far, but for those that it refused unlooked at. */
  readonly settled: number;
};

export type DoorLimits = BreakerLimits & {
  readonly queueDelay: QueueDelayLimits;
  /** So long a shard may be without a writer before that counts as standing still: a takeover is no outage. */
  readonly absenceMs: number;
  /** A shard that has not moved for so long may have only so many votes waiting. */
  readonly stuckAfterMs: number;
  readonly stuckVotesMax: number;
};

/** Why a vote is not let in. */
export type ShedCause = "share" | "queue_time" | "stuck" | "breaker";

export class ShardDoor {
  readonly #limits: DoorLimits;
  readonly #breaker: ShardBreaker;
  readonly #delay: QueueDelay;
  readonly #rate: DrainRate;
  readonly #overloaded: RetryAdvice;
  readonly #unavailable: RetryAdvice;
  #view: ShardView = { connected: false, outstanding: 0, waiting: 0, oldestWaitingMs: 0, settled: 0 };
  #movedAtMs: number;
  #absentSinceMs: number | undefined;
  #stuck = false;

  /** `trial` and the listener are the breaker's; `because` says why the shard cannot be reached, where that is known. */
  constructor(
    limits: DoorLimits,
    trial: () => Promise<boolean>,
    nowMs: number,
    because: () => string | undefined = () => undefined,
  ) {
    this.#limits = limits;
    this.#breaker = new ShardBreaker(limits, trial);
    this.#delay = new QueueDelay(limits.queueDelay);
    this.#rate = new DrainRate(nowMs);
    this.#movedAtMs = nowMs;
    this.#absentSinceMs = nowMs;
    this.#overloaded = new RetryAdvice("OVERLOADED", () =>
      this.#rate.pauseMs(this.#view.waiting + this.#view.outstanding),
    );
    const pauseMs = () => 2 * limits.trialAfterMs;
    this.#unavailable = new RetryAdvice("SHARD_UNAVAILABLE", pauseMs, Math.random, because);
  }

  get state(): BreakerState {
    return this.#breaker.state;
  }

  /** Of new arrivals. */
  get shedding(): boolean {
    return this.#delay.overloaded;
  }

  onBreakerChange(listener: (state: BreakerState) => void): void {
    this.#breaker.onChange(listener);
  }

  /** To be called every `doorLookEveryMs`. */
  look(view: ShardView, nowMs: number): void {
    const moved = view.settled > this.#view.settled || (view.connected && view.outstanding === 0);
    if (moved) this.#movedAtMs = nowMs;
    this.#absentSinceMs = view.connected ? undefined : (this.#absentSinceMs ?? nowMs);
    this.#rate.look(view.settled, nowMs);
    this.#view = view;
    this.#stuck = nowMs - this.#movedAtMs >= this.#limits.stuckAfterMs;
    const isChangingWriters = this.#absentSinceMs !== undefined && nowMs - this.#absentSinceMs < this.#limits.absenceMs;
    if (isChangingWriters && this.state === "closed") {
      this.#delay.look(0, nowMs);
      return;
    }
    this.#delay.look(view.oldestWaitingMs, nowMs);
    this.#breaker.look(moved);
  }

  /** Undefined for a vote that may come in. `share`: votes that the shard may hold; `held` and `waiting` are as of now. */
  refusal(held: number, waiting: number, share: number, isNew: boolean): ShedCause | undefined {
    if (this.#breaker.state !== "closed") return "breaker";
    if (held >= share) return "share";
    if (!isNew) return undefined;
    if (this.#delay.overloaded) return "queue_time";
    return this.#stuck && waiting >= this.#limits.stuckVotesMax ? "stuck" : undefined;
  }

  rejectionFor(cause: ShedCause): RejectionError {
    const isAway = cause === "breaker" || cause === "stuck" || !this.#view.connected;
    return isAway ? this.unavailable() : this.overloaded();
  }

  overloaded(): RejectionError {
    return this.#overloaded.next();
  }

  unavailable(): RejectionError {
    return this.#unavailable.next();
  }
}
