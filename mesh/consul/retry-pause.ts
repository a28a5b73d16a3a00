/** Pauses that double from one failure to the next, each shortened by chance so that many processes do not come back at once. */
import { setTimeout as delay } from "node:timers/promises";

const leastMs = 200;
const greatestMs = 3_000;

export class RetryPause {
  readonly #random: () => number;
  #nextMs = leastMs;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The next pause is the least again. */
  reset(): void {
    this.#nextMs = leastMs;
  }

  nextMs(): number {
    const fullMs = this.#nextMs;
    this.#nextMs = Math.min(greatestMs, fullMs * 2);
    return fullMs * (0.5 + this.#random() / 2);
  }

  /** Ends early when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    await delay(this.nextMs(), undefined, { signal }).catch(() => undefined);
  }
}
