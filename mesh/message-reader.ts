/**
 * The messages of a grpc-js stream, pulled one by one. Unlike Node's own iterator it never destroys the stream (its other
 * direction may still be in use), and it hands over what had arrived before a failure, then the failure.
 */
import type { Readable } from "node:stream";

export class MessageReader<T> implements AsyncIterableIterator<T> {
  readonly #stream: Readable;
  readonly #failureOf: (cause: unknown) => Error;
  #wake: (() => void) | undefined;
  #ended = false;
  #failure: Error | undefined;

  /** `failureOf` turns the stream's error, or undefined for a stream that was cut off, into what the reader throws. */
  constructor(stream: Readable, failureOf: (cause: unknown) => Error) {
    this.#stream = stream;
    this.#failureOf = failureOf;
    stream.on("readable", () => this.#awake());
    stream.on("end", () => this.#end(undefined));
    stream.on("error", (error) => this.#end(failureOf(error)));
    // Readable streams close after their end; a close without one is a cut.
    stream.on("close", () => this.#end(failureOf(undefined)));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      const message: T | null = this.#stream.destroyed ? null : this.#stream.read();
      if (message !== null) return { value: message, done: false };
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return { value: undefined, done: true };
      if (this.#stream.destroyed) throw this.#failureOf(undefined);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Leaves the stream as it is; whoever made the reader cancels the call. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#end(undefined);
    return { value: undefined, done: true };
  }

  #end(failure: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#awake();
  }

  #awake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
