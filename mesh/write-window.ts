/** How many messages of a stream may be written and not yet handed to the network: memory is bounded by it (I9). */
import type { Writable } from "node:stream";

export class WriteWindow {
  readonly #stream: Pick<Writable, "write">;
  readonly #unsentMax: number;
  readonly #sent = () => this.#onSent();
  #unsent = 0;
  #wake: (() => void) | undefined;

  constructor(stream: Pick<Writable, "write">, unsentMax: number) {
    this.#stream = stream;
    this.#unsentMax = unsentMax;
  }

  /** Writes; when the window is full now, returns what resolves once there is room. A stream that is cut never resolves it. */
  write(message: unknown): Promise<void> | undefined {
    this.#unsent += 1;
    this.#stream.write(message, this.#sent);
    if (this.#unsent < this.#unsentMax) return undefined;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #onSent(): void {
    this.#unsent -= 1;
    if (this.#unsent >= this.#unsentMax) return;
    this.#wake?.();
    this.#wake = undefined;
  }
}
