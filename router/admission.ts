/**
 * How many votes the router holds, in count and bytes (I9). Each is taken in once, and let go once it is settled and no
 * queue or frame holds it any more. Every shard may hold its even share, so that one stuck shard leaves room to the others.
 */

export type AdmissionLimits = {
  readonly votesMax: number;
  readonly bytesMax: number;
};

export class Admission {
  readonly #limits: AdmissionLimits;
  #votes = 0;
  #bytes = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get votesMax(): number {
    return this.#limits.votesMax;
  }

  get votes(): number {
    return this.#votes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Votes that one of `shards` shards may hold. */
  shareOf(shards: number): number {
    return Math.ceil(this.#limits.votesMax / Math.max(1, shards));
  }

  /** Whether there may be room for another vote; not how large a one. */
  get hasRoom(): boolean {
    return this.#votes < this.#limits.votesMax && this.#bytes < this.#limits.bytesMax;
  }

  /** False when there is no room; nothing is taken then. */
  take(bytes: number): boolean {
    if (!this.hasRoom || this.#bytes + bytes > this.#limits.bytesMax) return false;
    this.#votes += 1;
    this.#bytes += bytes;
    return true;
  }

  letGo(bytes: number): void {
    this.#votes -= 1;
    this.#bytes -= bytes;
  }
}
