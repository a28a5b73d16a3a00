/**
 * A flat row of counts that can be frozen cheaply. Cells live in pages; a freeze shares all pages, and the first
 * addition to a shared page copies that page alone. Pages that nothing was added to do not exist, so a contest that is on
 * few ballots costs little. Counts are doubles: exact up to 2^53 − 1, and an addition that would leave that range throws.
 */
const pageBits = 12;
const pageCells = 1 << pageBits;
const cellMask = pageCells - 1;

type Pages = (Float64Array | undefined)[];

/** Counts that never change again. */
export class FrozenCounts {
  readonly #pages: Readonly<Pages>;

  constructor(pages: Readonly<Pages>) {
    this.#pages = pages;
  }

  get(index: number): number {
    return this.#pages[index >>> pageBits]?.[index & cellMask] ?? 0;
  }

  /** The sum of the cells at `start + offset`, for each of the offsets. */
  sum(start: number, offsets: readonly number[]): number {
    let sum = 0;
    for (const offset of offsets) sum += this.get(start + offset);
    return sum;
  }

  /** The cells at which the two differ, ascending. */
  *differingCells(other: FrozenCounts): Generator<number, void, undefined> {
    const pageCount = Math.max(this.#pages.length, other.#pages.length);
    for (let number = 0; number < pageCount; number++) {
      const [mine, theirs] = [this.#pages[number], other.#pages[number]];
      if (mine === theirs) continue;
      for (let i = 0; i < pageCells; i++) {
        if ((mine?.[i] ?? 0) !== (theirs?.[i] ?? 0)) yield number * pageCells + i;
      }
    }
  }
}

export class PagedCounts {
  readonly #pages: Pages;
  /** 1 for a page that no frozen copy shares. */
  readonly #own: Uint8Array;
  #frozen: FrozenCounts | undefined;

  constructor(cellCount: number) {
    const pageCount = Math.ceil(cellCount / pageCells);
    this.#pages = new Array<Float64Array | undefined>(pageCount).fill(undefined);
    this.#own = new Uint8Array(pageCount);
  }

  get(index: number): number {
    return this.#pages[index >>> pageBits]?.[index & cellMask] ?? 0;
  }

  /** Counts only grow (I7): n is a whole number from 0. */
  add(index: number, n: number): void {
    const sum = this.get(index) + n;
    if (!(n >= 0) || !Number.isSafeInteger(sum)) throw new RangeError(`PagedCounts: cannot add ${n} at ${index}`);
    if (n === 0) return;
    this.#ownPage(index >>> pageBits)[index & cellMask] = sum;
    this.#frozen = undefined;
  }

  /** What stands here now, for ever. The same object until something is added. */
  freeze(): FrozenCounts {
    if (this.#frozen === undefined) {
      this.#own.fill(0);
      this.#frozen = new FrozenCounts(this.#pages.slice());
    }
    return this.#frozen;
  }

  #ownPage(number: number): Float64Array {
    if (number >= this.#own.length) throw new RangeError(`PagedCounts: there is no page ${number}`);
    const page = this.#pages[number];
    if (page !== undefined && this.#own[number] === 1) return page;
    const own = page === undefined ? new Float64Array(pageCells) : page.slice();
    this.#pages[number] = own;
    this.#own[number] = 1;
    return own;
  }
}
