/**
 * Makes frames of the book: at most one a tick, and the ticks are ten a second. A tick makes a frame when a batch was
 * folded, when the missing shards are others than before, when auditors said something new, or when the current frame has
 * grown old, so that readers see that the tally lives.
 */
import type { AuditView } from "./audit-board.ts";
import type { CountBook } from "./count-book.ts";
import type { MissingSince } from "./frame.ts";
import { Frame } from "./frame.ts";
import type { Clock, ShardReading } from "./shard-reading.ts";

export type FrameMakerParts = {
  readonly incarnation: bigint;
  readonly book: CountBook;
  readonly readings: ReadonlyMap<number, ShardReading>;
  /** The same object until something changes. */
  readonly audits: { view(): AuditView };
  readonly clock: Clock;
  /** The age at which a frame is replaced though nothing changed. */
  readonly frameAgeMsMax: number;
};

type Waiting = {
  readonly condition: (frame: Frame) => boolean;
  /** Monotonic. */
  readonly untilMs: number;
  finish(): void;
};

export class FrameMaker {
  readonly #parts: FrameMakerParts;
  readonly #waiting = new Set<Waiting>();
  #current: Frame;
  #madeAtMs: number;

  constructor(parts: FrameMakerParts) {
    this.#parts = parts;
    this.#madeAtMs = parts.clock.monotonicMs();
    this.#current = this.#make(1n, this.#missing());
  }

  get current(): Frame {
    return this.#current;
  }

  /** Callers that wait in `frameOnceWhere`. */
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Whether a new frame was made. */
  tick(): boolean {
    const missing = this.#missing();
    const due = this.#isDue(missing);
    const nowMs = this.#parts.clock.monotonicMs();
    if (due) {
      this.#madeAtMs = nowMs;
      this.#current = this.#make(this.#current.number + 1n, missing);
    }
    for (const waiting of this.#waiting) {
      if (nowMs >= waiting.untilMs || waiting.condition(this.#current)) waiting.finish();
    }
    return due;
  }

  /** The first frame for which the condition holds; after the patience, or when the signal is aborted, the current one. */
  frameOnceWhere(condition: (frame: Frame) => boolean, patienceMs: number, signal: AbortSignal): Promise<Frame> {
    if (condition(this.#current) || patienceMs <= 0 || signal.aborted) return Promise.resolve(this.#current);
    return new Promise((resolve) => {
      const finish = () => {
        this.#waiting.delete(waiting);
        signal.removeEventListener("abort", finish);
        resolve(this.#current);
      };
      const waiting = { condition, untilMs: this.#parts.clock.monotonicMs() + patienceMs, finish };
      this.#waiting.add(waiting);
      signal.addEventListener("abort", finish, { once: true });
    });
  }

  /** Gives everybody who waits the current frame. */
  endWaits(): void {
    for (const waiting of this.#waiting) waiting.finish();
  }

  #isDue(missing: readonly MissingSince[]): boolean {
    const { book, audits, clock, frameAgeMsMax } = this.#parts;
    const { content } = this.#current;
    if (book.snapshot() !== content.book || !sameMissing(missing, content.missing)) return true;
    if (audits.view() !== content.audit) return true;
    return clock.monotonicMs() - this.#madeAtMs >= frameAgeMsMax;
  }

  #make(number: bigint, missing: readonly MissingSince[]): Frame {
    const { incarnation, book, audits, clock } = this.#parts;
    const content = { book: book.snapshot(), missing, audit: audits.view() };
    return new Frame({ incarnation, number, asOfMs: clock.wallMs(), ...content });
  }

  #missing(): MissingSince[] {
    const missing: MissingSince[] = [];
    for (const [shardId, reading] of this.#parts.readings) {
      const sinceMs = reading.missingSinceMs();
      if (sinceMs !== undefined) missing.push({ shardId, sinceMs });
    }
    return missing.sort((a, b) => a.shardId - b.shardId);
  }
}

function sameMissing(a: readonly MissingSince[], b: readonly MissingSince[]): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ shardId, sinceMs }, i) => b[i]?.shardId === shardId && b[i].sinceMs === sinceMs);
}
