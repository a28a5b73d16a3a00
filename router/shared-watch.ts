/**
 * One stream for many readers: each gets the latest message when it is ready for one, and none are queued (I9). It begins
 * with its first reader and ends with its last.
 */
import { RejectionError } from "#proto/rejections.ts";

type Reader = { wake: (() => void) | undefined };

export class SharedWatch<T> {
  readonly #readers = new Set<Reader>();
  readonly #onEnd: () => void;
  #latest: { readonly message: T } | undefined;
  #failure: unknown;
  #ended = false;

  /** `onEnd` is called once: the source has ended or failed, or nobody reads any more and it should be cancelled. */
  constructor(source: AsyncIterable<T>, onEnd: () => void) {
    this.#onEnd = onEnd;
    void this.#read(source);
  }

  get watchers(): number {
    return this.#readers.size;
  }

  /** The latest message at once, then each newer one, until the signal is aborted or the source ends. */
  async *follow(signal: AbortSignal): AsyncGenerator<T, undefined> {
    const reader: Reader = { wake: undefined };
    const wake = () => reader.wake?.();
    this.#readers.add(reader);
    signal.addEventListener("abort", wake);
    try {
      let seen: { readonly message: T } | undefined;
      while (!signal.aborted) {
        if (this.#latest !== undefined && this.#latest !== seen) {
          seen = this.#latest;
          yield seen.message;
          continue;
        }
        if (this.#ended) throw this.#failure;
        await new Promise<void>((resolve) => {
          reader.wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.end(new RejectionError("TALLY_UNAVAILABLE"));
    }
  }

  /** Ends it for all readers, after what they have not seen yet. */
  end(failure: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#onEnd();
    for (const { wake } of this.#readers) wake?.();
  }

  async #read(source: AsyncIterable<T>): Promise<void> {
    try {
      for await (const message of source) {
        this.#latest = { message };
        for (const { wake } of this.#readers) wake?.();
        if (this.#ended) return;
      }
      this.end(new RejectionError("TALLY_UNAVAILABLE", "the tally ended the watch"));
    } catch (cause) {
      this.end(cause);
    }
  }
}
