/**
 * How far a shard has been read, and since when its newer votes may be lacking. A shard is missing until everything that
 * it held when its stream began has been folded, and again when the stream broke, or brought nothing, not even the
 * shard's pulse, for some time.
 */
export type Clock = {
  /** Milliseconds of Unix time, for people. */
  wallMs(): number;
  /** Milliseconds that never go back, for intervals. */
  monotonicMs(): number;
};

export const systemClock: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

type Stream =
  | { readonly kind: "none" }
  /** Behind what the shard held when the stream began. */
  | { readonly kind: "catching-up"; readonly throughBatch: bigint }
  | { readonly kind: "live"; readonly heardAtMs: number };

export class ShardReading {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  #stream: Stream = { kind: "none" };
  /** Unix time of the last moment at which nothing was lacking; at first, of the start. */
  #completeAtMs: number;
  #lostBatches = false;

  constructor(clock: Clock, silenceMs: number) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#completeAtMs = clock.wallMs();
  }

  /** A stream began on a writer whose durable mark was `durableBatch`. */
  began(durableBatch: bigint): void {
    this.#lostBatches = false;
    this.#stream = { kind: "catching-up", throughBatch: durableBatch };
  }

  /** A message was folded. */
  folded(throughBatch: bigint): void {
    if (this.#stream.kind === "none") throw new Error("ShardReading: a message outside a stream");
    if (this.#stream.kind === "catching-up" && throughBatch < this.#stream.throughBatch) return;
    this.#stream = { kind: "live", heardAtMs: this.#clock.monotonicMs() };
    this.#completeAtMs = this.#clock.wallMs();
  }

  broke(): void {
    this.#stream = { kind: "none" };
  }

  /** The shard's writer holds less than what was folded already: it lost batches. Until a stream begins again. */
  lostBatches(): void {
    this.#lostBatches = true;
    this.#stream = { kind: "none" };
  }

  get hasLostBatches(): boolean {
    return this.#lostBatches;
  }

  /** Unix time in milliseconds; undefined when nothing is lacking. */
  missingSinceMs(): number | undefined {
    const silent =
      this.#stream.kind !== "live" || this.#clock.monotonicMs() - this.#stream.heardAtMs >= this.#silenceMs;
    return silent ? this.#completeAtMs : undefined;
  }
}
