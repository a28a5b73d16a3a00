/**
 * Those who watch. All of them are served on one beat, twice a second, so that a frame that many watch is encoded once
 * and no watcher gets more than two a second. Nothing is queued for a slow reader (I9): it asks for its next frame when
 * the last one is written, and gets the latest of the beat after that. What it holds meanwhile is the message on its way,
 * never the frame, for a frame holds the counts of all elections.
 */
import type { EncodedMessage } from "#mesh/service-call.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { Frame } from "./frame.ts";

export type WatchersLimits = {
  /** Milliseconds between two beats. */
  readonly beatMs: number;
  readonly watchersMax: number;
};

/** What a watcher gets of a frame. */
export type FrameView = { readonly frameNumber: bigint; readonly message: EncodedMessage };

type Watcher = {
  readonly viewOf: (frame: Frame) => FrameView;
  /** The first beat at which it may be served. */
  nextBeat: number;
  /** Number of the frame that it got last. */
  lastNumber: bigint;
  /** Set while it waits; undefined ends the watch. */
  serve: ((view: FrameView | undefined) => void) | undefined;
};

export class Watchers {
  readonly #limits: WatchersLimits;
  readonly #watchers = new Set<Watcher>();
  #beat = 0;
  #lastBeatAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(limits: WatchersLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#watchers.size;
  }

  /** To be called often. When the next beat is due, serves every watcher that waits and has not got this frame. */
  tick(nowMs: number, frame: Frame): void {
    if (nowMs - this.#lastBeatAtMs < this.#limits.beatMs) return;
    this.#lastBeatAtMs = nowMs;
    this.#beat += 1;
    for (const watcher of this.#watchers) {
      if (watcher.serve === undefined || watcher.nextBeat > this.#beat || watcher.lastNumber >= frame.number) continue;
      watcher.nextBeat = this.#beat + 1;
      watcher.lastNumber = frame.number;
      watcher.serve(watcher.viewOf(frame));
    }
  }

  /**
   * The first view at once, then the latest frame's at each beat, until the signal is aborted. Throws OVERLOADED when
   * there are too many watchers, and TALLY_UNAVAILABLE when the tally stops.
   */
  async *watch(
    first: FrameView,
    viewOf: (frame: Frame) => FrameView,
    signal: AbortSignal,
  ): AsyncGenerator<EncodedMessage, void, undefined> {
    if (this.#watchers.size >= this.#limits.watchersMax) {
      throw new RejectionError("OVERLOADED", "too many callers are watching");
    }
    // The first frame came between two beats: the beat right after it would make three within a second.
    const nextBeat = this.#beat + 2;
    const watcher: Watcher = { viewOf, nextBeat, lastNumber: first.frameNumber, serve: undefined };
    this.#watchers.add(watcher);
    try {
      let view: FrameView | undefined = first;
      while (view !== undefined) {
        yield view.message;
        view = await this.#next(watcher, signal);
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true;
    for (const watcher of this.#watchers) watcher.serve?.(undefined);
  }

  async #next(watcher: Watcher, signal: AbortSignal): Promise<FrameView | undefined> {
    const view = this.#closed || signal.aborted ? undefined : await this.#served(watcher, signal);
    if (view === undefined && this.#closed) throw new RejectionError("TALLY_UNAVAILABLE", "the tally stops");
    return view;
  }

  #served(watcher: Watcher, signal: AbortSignal): Promise<FrameView | undefined> {
    return new Promise((resolve) => {
      const leave = () => watcher.serve?.(undefined);
      watcher.serve = (view) => {
        watcher.serve = undefined;
        signal.removeEventListener("abort", leave);
        resolve(view);
      };
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
