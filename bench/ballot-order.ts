/**
 * The order in which ballots are cast: every cell (leaf region and option) grows in proportion from the first ballot to
 * the last, so that the tally grows everywhere at once. The same counts always give the same order.
 */

const rounds = 1_000;
/** Coprime to `rounds`: spreads the rounds in which small cells cast their ballots. */
const phaseStep = 619;

/** Walks over (cell, index) pairs; index counts the ballots of one cell from 0. */
export class BallotCursor {
  readonly #ballots: readonly number[];
  readonly #cast: Uint32Array;
  #round = 0;
  #cell = 0;

  /** `ballots[cell]`: how many ballots the cell has. */
  constructor(ballots: readonly number[]) {
    this.#ballots = ballots;
    this.#cast = new Uint32Array(ballots.length);
  }

  /** Writes the next pairs into both arrays and answers how many; fewer than asked only at the end. */
  fill(cells: Uint32Array, indexes: Uint32Array): number {
    let filled = 0;
    while (filled < cells.length && this.#round < rounds) {
      const index = this.#cast[this.#cell] ?? 0;
      if (index < this.#target()) {
        cells[filled] = this.#cell;
        indexes[filled] = index;
        this.#cast[this.#cell] = index + 1;
        filled++;
      } else {
        this.#nextCell();
      }
    }
    return filled;
  }

  /** How many ballots of the present cell are cast when the present round ends. All of them after the last round. */
  #target(): number {
    const phase = (this.#cell * phaseStep) % rounds;
    return Math.floor(((this.#ballots[this.#cell] ?? 0) * (this.#round + 1) + phase) / rounds);
  }

  #nextCell(): void {
    this.#cell++;
    if (this.#cell < this.#ballots.length) return;
    this.#cell = 0;
    this.#round++;
  }
}
