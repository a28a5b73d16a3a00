/**
 * Refusals that say when to come back: once what waits now is served, as fast as it was served of late, and each caller at
 * another moment, so that they do not come back in step (I9). A refused vote must cost next to nothing, so a few errors are
 * made at a time and handed out in turn.
 */
import type { RejectionReason } from "#proto/rejections.ts";
import { RejectionError } from "#proto/rejections.ts";

const pauseMsMin = 100;
const pauseMsMax = 5_000;
/** Errors that are handed out in turn, and how long they are good for. */
const poolSize = 16;
const freshForMs = 100;

export class RetryAdvice {
  readonly #reason: RejectionReason;
  readonly #pauseMs: () => number;
  readonly #random: () => number;
  readonly #because: () => string | undefined;
  readonly #pool: RejectionError[] = [];
  #madeAtMs = Number.NEGATIVE_INFINITY;
  #turn = 0;

  /**
   * `pauseMs`: how long a wait is worth while, now; it is bounded, and stretched by up to a half by chance. `because`: the
   * message, where there is more to say than the catalogue's.
   */
  constructor(
    reason: RejectionReason,
    pauseMs: () => number,
    random = Math.random,
    because: () => string | undefined = () => undefined,
  ) {
    this.#reason = reason;
    this.#because = because;
    this.#pauseMs = pauseMs;
    this.#random = random;
  }

  /** The same reason with another wait each time. */
  next(nowMs = performance.now()): RejectionError {
    if (nowMs - this.#madeAtMs >= freshForMs) this.#make(nowMs);
    this.#turn = (this.#turn + 1) % poolSize;
    return this.#pool[this.#turn] as RejectionError;
  }

  #make(nowMs: number): void {
    this.#madeAtMs = nowMs;
    const pauseMs = Math.min(pauseMsMax, Math.max(pauseMsMin, this.#pauseMs()));
    const message = this.#because();
    for (let i = 0; i < poolSize; i++) {
      const retryAfterMs = Math.round(pauseMs * (1 + this.#random() / 2));
      this.#pool[i] = new RejectionError(this.#reason, message, retryAfterMs);
    }
  }
}

/** What a stretch of time tells about the rate of the next: half of it every so often. */
const halfLifeMs = 500;
/** While nothing is served at all, nobody knows; this is when to ask again. */
const unknownPauseMs = 1_000;

/** How fast votes are served, from their number at each look. */
export class DrainRate {
  #atMs: number;
  #served = 0;
  #perMs = 0;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** `served`: votes so far. */
  look(served: number, nowMs: number): void {
    const passedMs = nowMs - this.#atMs;
    if (passedMs <= 0) return;
    const kept = 0.5 ** (passedMs / halfLifeMs);
    this.#perMs = this.#perMs * kept + ((served - this.#served) / passedMs) * (1 - kept);
    this.#served = served;
    this.#atMs = nowMs;
  }

  /** How long so many votes take at this rate. */
  pauseMs(votes: number): number {
    return this.#perMs * unknownPauseMs < 1 ? unknownPauseMs : votes / this.#perMs;
  }
}
