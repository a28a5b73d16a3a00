/**
 * The latest answers of the tally that came through Redis, and how far each election has been shown by this router. An
 * answer is shown while it is fresh and not behind what was shown of its election before, wherever that came from (I7): what
 * Redis tells late, again, or out of an old dump is not shown. What is kept is bounded in bytes (I9).
 */
import type { EncodedMessage } from "#mesh/service-call.ts";
import type { FrameCut } from "#proto/frame-order.ts";
import { FrameOrder } from "#proto/frame-order.ts";

export type MemoryLimits = {
  /** An answer that was published longer ago is not shown. */
  readonly freshMs: number;
  readonly bytesMax: number;
  /** Elections whose order is remembered; the one that was shown longest ago is forgotten first. */
  readonly electionsMax: number;
  /** A younger tally that stays behind for so long has begun anew, after a loss: its word is the order from then on. */
  readonly newBeginningMs: number;
};

export type KeptAnswer = {
  readonly electionId: string;
  readonly cut: FrameCut;
  /** When it was published, by our monotonic clock. */
  readonly atMs: number;
  readonly messages: readonly EncodedMessage[];
};

type Shown = { order: FrameOrder; cut: FrameCut | undefined; behindSinceMs: number | undefined };

export class TallyMemory {
  readonly #limits: MemoryLimits;
  readonly #nowMs: () => number;
  readonly #answers = new Map<string, KeptAnswer>();
  /** In the order of the last use. */
  readonly #shown = new Map<string, Shown>();
  #bytes = 0;

  constructor(limits: MemoryLimits, nowMs: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get answers(): number {
    return this.#answers.size;
  }

  /** Behind what was shown of the election, or what is kept under the name and may still be shown. */
  isBehind(name: string, electionId: string, cut: FrameCut): boolean {
    if (this.#shown.get(electionId)?.order.isBehind(cut)) return true;
    const kept = this.#answers.get(name);
    return kept !== undefined && this.#isFresh(kept) && orderAt(kept.cut).isBehind(cut);
  }

  /** In the place of what was kept under the name. False when there is no room. */
  keep(name: string, answer: KeptAnswer): boolean {
    this.forget(name);
    const bytes = bytesOf(answer);
    if (this.#bytes + bytes > this.#limits.bytesMax) return false;
    this.#bytes += bytes;
    this.#answers.set(name, answer);
    return true;
  }

  forget(name: string): void {
    const kept = this.#answers.get(name);
    if (kept === undefined) return;
    this.#bytes -= bytesOf(kept);
    this.#answers.delete(name);
  }

  /** To be shown now; undefined when there is none that may be. */
  show(name: string): KeptAnswer | undefined {
    const kept = this.#answers.get(name);
    if (kept === undefined || !this.#isFresh(kept)) return undefined;
    return this.#accept(kept.electionId, kept.cut) ? kept : undefined;
  }

  /** Notes that an answer of the tally itself is shown; false when it is behind what was shown before. */
  pass(electionId: string, cut: FrameCut): boolean {
    if (this.#accept(electionId, cut)) return true;
    const shown = this.#of(electionId);
    shown.behindSinceMs ??= this.#nowMs();
    const isYounger = incarnationOf(cut) > incarnationOf(shown.cut);
    if (!isYounger || this.#nowMs() - shown.behindSinceMs < this.#limits.newBeginningMs) return false;
    this.#shown.set(electionId, { order: orderAt(cut), cut, behindSinceMs: undefined });
    return true;
  }

  #isFresh({ atMs }: KeptAnswer): boolean {
    return this.#nowMs() - atMs < this.#limits.freshMs;
  }

  #accept(electionId: string, cut: FrameCut): boolean {
    const shown = this.#of(electionId);
    if (shown.cut === cut) return true;
    if (!shown.order.accept(cut)) return false;
    shown.cut = cut;
    shown.behindSinceMs = undefined;
    return true;
  }

  #of(electionId: string): Shown {
    const shown = this.#shown.get(electionId) ?? { order: new FrameOrder(), cut: undefined, behindSinceMs: undefined };
    this.#shown.delete(electionId);
    this.#shown.set(electionId, shown);
    const [longestAgo] = this.#shown.keys();
    if (this.#shown.size > this.#limits.electionsMax && longestAgo !== undefined) this.#shown.delete(longestAgo);
    return shown;
  }
}

function orderAt(cut: FrameCut): FrameOrder {
  const order = new FrameOrder();
  order.accept(cut);
  return order;
}

function incarnationOf(cut: FrameCut | undefined): bigint {
  return cut?.frame?.incarnation ?? 0n;
}

function bytesOf({ messages }: KeptAnswer): number {
  return messages.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
