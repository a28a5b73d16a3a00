/**
 * The messages of a grpc-js stream, pulled one by one. Unlike Node's own iterator it never destroys the stream (its other
 * direction may still be in use), and it hands over what had arrived before a failure, then the failure.
 */
import type { Readable } from "node:stream";

/** Messages that may wait here before the stream is paused: its sender then runs into HTTP/2 flow control. */
const waitingMax = 64;

export class MessageReader<T> implements AsyncIterableIterator<T> {
  readonly #stream: Readable;
  #waiting: T[] = [];
  #taken = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #failure: Error | undefined;

  /** `failureOf` turns the stream's error, or undefined for a stream that was cut off, into what the reader throws. */
  constructor(stream: Readable, failureOf: (cause: unknown) => Error) {
    this.#stream = stream;
    stream.on("data", (message: T) => this.#take(message));
    stream.on("end", () => this.#end(undefined));
    stream.on("error", (error) => {
      // What the stream itself still holds arrived before the failure: reading it out gives it to "data".
      while (!stream.destroyed && stream.read() !== null);
      this.#end(failureOf(error));
    });
    // Readable streams close after their end; a close without one is a cut.
    stream.on("close", () => this.#end(failureOf(undefined)));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      const message = this.#waiting[this.#taken];
      if (message !== undefined) {
        this.#taken += 1;
        if (this.#taken === this.#waiting.length) this.#refill();
        return { value: message, done: false };
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return { value: undefined, done: true };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Leaves the stream as it is; whoever made the reader cancels the call. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#end(undefined);
    this.#waiting = [];
    this.#taken = 0;
    return { value: undefined, done: true };
  }

  #take(message: T): void {
    if (this.#waiting.push(message) >= waitingMax) this.#stream.pause();
    this.#awake();
  }

  #refill(): void {
    this.#waiting = [];
    this.#taken = 0;
    if (this.#stream.isPaused()) this.#stream.resume();
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
