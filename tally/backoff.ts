/** Waits that double from a least to a greatest time, until something worked. */
import { setTimeout as delay } from "node:timers/promises";

export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(minMs: number, maxMs: number) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#nextMs = minMs;
  }

  /** The next wait is the least again. */
  reset(): void {
    this.#nextMs = this.#minMs;
  }

  /** Ends early when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(this.#maxMs, waitMs * 2);
    await delay(waitMs, undefined, { signal }).catch(() => {});
  }
}
