/** Where the demo tells people what happens: lines that stay, and below them a few that are drawn again and again. */
import type { WriteStream } from "node:tty";

/** Where nobody looks at a terminal, the block is written as lines this often. */
const plainIntervalMs = 5_000;

export class DemoScreen {
  readonly #out: WriteStream;
  readonly #live: boolean;
  #drawn = 0;
  #block: readonly string[] = [];
  #plainAtMs = Number.NEGATIVE_INFINITY;

  constructor(out: WriteStream) {
    this.#out = out;
    this.#live = out.isTTY === true;
  }

  /** A line that stays. */
  line(text = ""): void {
    this.#clear();
    this.#out.write(`${text}\n`);
    this.#draw();
  }

  /** What is drawn below the lines from now on. */
  show(block: readonly string[]): void {
    if (this.#live) {
      this.#clear();
      this.#block = block;
      this.#draw();
    } else if (performance.now() - this.#plainAtMs >= plainIntervalMs) {
      this.#plainAtMs = performance.now();
      for (const text of block) this.#out.write(`${text}\n`);
    }
  }

  /** Leaves the block standing, and begins a new one. */
  settle(block: readonly string[]): void {
    this.#clear();
    this.#block = [];
    for (const text of block) this.#out.write(`${text}\n`);
  }

  #draw(): void {
    if (!this.#live) return;
    // A line that wraps would be two to clear.
    const width = Math.max(20, this.#out.columns - 1);
    for (const text of this.#block) this.#out.write(`${text.slice(0, width)}\n`);
    this.#drawn = this.#block.length;
  }

  #clear(): void {
    if (this.#drawn > 0) this.#out.write(`\u001b[${this.#drawn}A\u001b[J`);
    this.#drawn = 0;
  }
}
