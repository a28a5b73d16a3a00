/**
 * Whether a queue is too slow, by how long its oldest entry has waited and not by how many there are: a long queue that moves
 * is no overload, a short one that stands is. As in CoDel only a delay that lasts counts: a burst that drains within the
 * interval disturbs nobody. What waits already is left alone; whoever asks refuses new arrivals.
 */
export type QueueDelayLimits = {
  /** A queue whose oldest entry has waited for less is in order. */
  readonly targetMs: number;
  /** For so long the oldest entry must have been beyond the target at every look. */
  readonly intervalMs: number;
};

export class QueueDelay {
  readonly #limits: QueueDelayLimits;
  #beyondSinceMs: number | undefined;
  #overloaded = false;

  constructor(limits: QueueDelayLimits) {
    this.#limits = limits;
  }

  get overloaded(): boolean {
    return this.#overloaded;
  }

  /** `oldestMs`: how long the oldest entry has waited by now, 0 when none waits. */
  look(oldestMs: number, nowMs: number): void {
    if (oldestMs < this.#limits.targetMs) {
      this.#beyondSinceMs = undefined;
      this.#overloaded = false;
      return;
    }
    this.#beyondSinceMs ??= nowMs;
    this.#overloaded = nowMs - this.#beyondSinceMs >= this.#limits.intervalMs;
  }
}
