/** Latencies in fixed buckets, each at most 1.6 % wide: memory does not grow with the number of votes. */

const bucketsPerDoubling = 64;
const smallestMs = 0.01;
const doublings = 25;

export class LatencyHistogram {
  readonly #buckets = new Float64Array(bucketsPerDoubling * doublings + 1);
  #count = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  get maxMs(): number {
    return this.#maxMs;
  }

  /** Notes that `times` votes took this long. */
  record(latencyMs: number, times = 1): void {
    const doublingsAbove = Math.log2(Math.max(latencyMs, smallestMs) / smallestMs);
    const bucket = Math.min(Math.floor(doublingsAbove * bucketsPerDoubling), this.#buckets.length - 1);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + times;
    this.#count += times;
    this.#maxMs = Math.max(this.#maxMs, latencyMs);
  }

  /** The upper end of the bucket that holds the given part (0 to 1) of all; 0 when there is none. */
  quantileMs(part: number): number {
    const rank = Math.max(1, Math.ceil(part * this.#count));
    let seen = 0;
    for (const [bucket, times] of this.#buckets.entries()) {
      seen += times;
      if (times > 0 && seen >= rank) {
        return Math.min(smallestMs * 2 ** ((bucket + 1) / bucketsPerDoubling), this.#maxMs);
      }
    }
    return 0;
  }
}
