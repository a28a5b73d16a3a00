/**
 * How many calls a client may repeat: a tenth of those it makes, and a few besides, so that a single call may be repeated and a
 * client whose every call fails does not come twice as often as before. A token bucket: a call puts a tenth in, a retry
 * takes one out.
 */
export type RetryBudgetLimits = {
  /** Retries a call, in the long run. */
  readonly share: number;
  /** Retries that may be saved up; a new budget has them all. */
  readonly savedMax: number;
  /** Retries that come without calls. */
  readonly perSecondMin: number;
};

const limitsDefault: RetryBudgetLimits = { share: 0.1, savedMax: 10, perSecondMin: 0.5 };

export class RetryBudget {
  readonly #limits: RetryBudgetLimits;
  #tokens: number;
  #atMs: number;
  #retries = 0;
  #refused = 0;

  constructor(limits: RetryBudgetLimits = limitsDefault, nowMs = performance.now()) {
    this.#limits = limits;
    this.#tokens = limits.savedMax;
    this.#atMs = nowMs;
  }

  /** Retries made so far. */
  get retries(): number {
    return this.#retries;
  }

  /** Retries that would have been too many. */
  get refused(): number {
    return this.#refused;
  }

  /** A call begins. */
  called(): void {
    this.#put(this.#limits.share);
  }

  /** False when it would be one too many. */
  takeRetry(nowMs = performance.now()): boolean {
    this.#put(((nowMs - this.#atMs) / 1_000) * this.#limits.perSecondMin);
    this.#atMs = nowMs;
    if (this.#tokens < 1) {
      this.#refused += 1;
      return false;
    }
    this.#tokens -= 1;
    this.#retries += 1;
    return true;
  }

  #put(tokens: number): void {
    this.#tokens = Math.min(this.#limits.savedMax, this.#tokens + tokens);
  }
}
