/**
 * Calls that keep one frame for long: tables and recounts. Their number is bounded, because each frame that is kept
 * keeps its counts (I9). A holder that has had its time makes way for a newcomer, so that stalled readers do not shut
 * the others out.
 */
import { RejectionError } from "#proto/rejections.ts";
import type { Frame } from "./frame.ts";
import type { Clock } from "./shard-reading.ts";

export type HoldersLimits = {
  readonly holdersMax: number;
  /** How long a holder is safe from newcomers. */
  readonly safeMs: number;
};

export class FrameHolder {
  readonly sinceMs: number;
  #frame: Frame | undefined;

  constructor(frame: Frame, sinceMs: number) {
    this.#frame = frame;
    this.sinceMs = sinceMs;
  }

  /** Throws OVERLOADED when the holder had to make way. */
  get frame(): Frame {
    if (this.#frame === undefined)
      throw new RejectionError("OVERLOADED", "the call took too long and made way for others");
    return this.#frame;
  }

  letGo(): void {
    this.#frame = undefined;
  }
}

export class FrameHolders {
  readonly #limits: HoldersLimits;
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #holders = new Set<FrameHolder>();

  constructor(limits: HoldersLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get count(): number {
    return this.#holders.size;
  }

  /** To be given back with `leave`. Throws OVERLOADED when every place is taken and safe. */
  enter(frame: Frame): FrameHolder {
    const nowMs = this.#clock.monotonicMs();
    const [oldest] = this.#holders;
    if (oldest !== undefined && this.#holders.size >= this.#limits.holdersMax) {
      if (nowMs - oldest.sinceMs < this.#limits.safeMs) {
        throw new RejectionError("OVERLOADED", "too many such calls are under way");
      }
      this.leave(oldest);
    }
    const holder = new FrameHolder(frame, nowMs);
    this.#holders.add(holder);
    return holder;
  }

  leave(holder: FrameHolder): void {
    holder.letGo();
    this.#holders.delete(holder);
  }
}
