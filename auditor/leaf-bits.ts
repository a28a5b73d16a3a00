/** A set of leaves, one bit each: dense numbers, of which there may be very many. */

const bitsAtStart = 1 << 16;

export class LeafBits {
  #bits = new Uint8Array(0);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(leaf: number): boolean {
    return (((this.#bits[Math.floor(leaf / 8)] ?? 0) >> (leaf % 8)) & 1) === 1;
  }

  add(leaf: number): void {
    if (this.has(leaf)) return;
    const at = Math.floor(leaf / 8);
    if (at >= this.#bits.length) this.#grow(at + 1);
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (leaf % 8));
    this.#size += 1;
  }

  /** Whether it was in the set. */
  delete(leaf: number): boolean {
    if (!this.has(leaf)) return false;
    const at = Math.floor(leaf / 8);
    this.#bits[at] = (this.#bits[at] ?? 0) & ~(1 << (leaf % 8));
    this.#size -= 1;
    return true;
  }

  #grow(bytes: number): void {
    const larger = new Uint8Array(Math.max(bitsAtStart / 8, this.#bits.length * 2, bytes));
    larger.set(this.#bits);
    this.#bits = larger;
  }
}
