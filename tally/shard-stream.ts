/** A stream of answers from a shard, read one by one, each within a time limit: a node that froze must not hold us. */
export class ShardStream<Message> {
  readonly #controller = new AbortController();
  readonly #messages: AsyncIterator<Message>;
  readonly #outer: AbortSignal;
  readonly #abort = () => this.#controller.abort();

  /** Ends with the outer signal too. */
  constructor(outer: AbortSignal, open: (options: { readonly signal: AbortSignal }) => AsyncIterable<Message>) {
    this.#outer = outer;
    if (outer.aborted) this.#abort();
    outer.addEventListener("abort", this.#abort, { once: true });
    this.#messages = open({ signal: this.#controller.signal })[Symbol.asyncIterator]();
  }

  /** Whether it was we who wanted no more of it. */
  get left(): boolean {
    return this.#outer.aborted;
  }

  /** The next message, or undefined at the end. Cancels the stream, and throws, when it takes longer than the limit. */
  async receive(limitMs: number): Promise<Message | undefined> {
    const timer = setTimeout(this.#abort, limitMs);
    try {
      const next = await this.#messages.next();
      return next.done === true ? undefined : next.value;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#outer.removeEventListener("abort", this.#abort);
    this.#abort();
    // Nothing waits for the stream any more, so its last words, a cancellation, are no news.
    this.#messages.return?.()?.catch(() => {});
  }
}
