/**
 * The circuit breaker of one shard. A shard that stands still at so many looks in a row is taken out of service: its votes are
 * refused at once instead of waiting for their deadlines. After a pause it is tried, without a voter's vote: a live shard
 * commits at least its pulse, so a commit that is seen closes the breaker.
 *
 * What a shard refuses is no failure: it has answered. Nor is a shard that has nothing to do.
 */
import type { CircuitBreakerPolicy } from "cockatiel";
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from "cockatiel";

export type BreakerLimits = {
  /** Looks in a row at which the shard stood still. */
  readonly failedLooksMax: number;
  /** From opening to the first trial, and from one trial to the next. */
  readonly trialAfterMs: number;
};

export type BreakerState = "closed" | "half-open" | "open";

const states: Readonly<Record<CircuitState, BreakerState>> = {
  [CircuitState.Closed]: "closed",
  [CircuitState.HalfOpen]: "half-open",
  [CircuitState.Open]: "open",
  [CircuitState.Isolated]: "open",
};

class StandsStill extends Error {}

export class ShardBreaker {
  readonly #policy: CircuitBreakerPolicy;
  readonly #trial: () => Promise<boolean>;
  #trying = false;

  /** `trial` resolves to whether the shard has been seen to commit. It must end. */
  constructor(limits: BreakerLimits, trial: () => Promise<boolean>) {
    const breaker = new ConsecutiveBreaker(limits.failedLooksMax);
    this.#policy = circuitBreaker(handleAll, { halfOpenAfter: limits.trialAfterMs, breaker });
    this.#trial = trial;
  }

  get state(): BreakerState {
    return states[this.#policy.state];
  }

  onChange(listener: (state: BreakerState) => void): void {
    this.#policy.onStateChange(() => listener(this.state));
  }

  /** To be called at each look, also while the breaker is open: trials begin here. Never throws. */
  look(moves: boolean): void {
    if (this.#trying) return;
    this.#trying = this.state !== "closed";
    void this.#policy
      .execute(async () => {
        const well = this.state === "half-open" ? await this.#trial() : moves;
        if (!well) throw new StandsStill();
      })
      .catch(() => {})
      .finally(() => {
        this.#trying = false;
      });
  }
}
