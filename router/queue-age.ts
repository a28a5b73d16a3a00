/**
 * How long the oldest of a line has waited, without a time for each: marks say how many had come by when, at most one a
 * resolution. Exact to a resolution for a line that is served in order; votes that were sent and come back count as new.
 */
const resolutionMs = 10;

type Mark = { come: number; readonly atMs: number };

export class QueueAge {
  readonly #marks: Mark[] = [];
  #first = 0;

  /** `come`: how many have come so far, by now. */
  mark(come: number, nowMs: number): void {
    const last = this.#marks.at(-1);
    if (come === (last?.come ?? 0)) return;
    if (last !== undefined && nowMs - last.atMs < resolutionMs) last.come = come;
    else this.#marks.push({ come, atMs: nowMs });
  }

  /** Milliseconds; 0 when nobody waits. `gone`: how many are in the line no more. */
  oldestMs(gone: number, nowMs: number): number {
    let first = this.#marks[this.#first];
    while (first !== undefined && first.come <= gone) first = this.#marks[++this.#first];
    if (this.#first > 64 && this.#first * 2 > this.#marks.length) {
      this.#marks.splice(0, this.#first);
      this.#first = 0;
    }
    return first === undefined ? 0 : nowMs - first.atMs;
  }
}
