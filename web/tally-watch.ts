/**
 * One region of one election, watched for as long as the page shows it: frames that are behind are dropped (I7), and a
 * stream that breaks, or falls silent, is opened again with backoff.
 */
import type { FrameOrder } from "#proto/frame-order.ts";
import type { WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { backoffMs } from "./backoff.ts";

/** A live tally sends a frame at least every pulse of a shard; a stream that is silent for so long is given up. */
export const silenceMsMax = 15_000;

export type WatchState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** Connected, but the tally has not caught up with what was shown before. */
  | { readonly kind: "catching-up" }
  | { readonly kind: "broken"; readonly cause: unknown; readonly retryInMs: number };

export type TallyWatch = {
  readonly open: (signal: AbortSignal) => AsyncIterable<WatchTallyResponse>;
  /** Shared by all watches of one election, so that going from region to region never goes back in time. */
  readonly order: FrameOrder;
  readonly onFrame: (frame: WatchTallyResponse) => void;
  readonly onState: (state: WatchState) => void;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Resolves after the time, or when the signal is aborted. */
  readonly wait: (delayMs: number, signal: AbortSignal) => Promise<void>;
  /** In [0, 1). */
  readonly random: () => number;
};

/** Resolves when the signal is aborted. */
export async function watchTally(watch: TallyWatch): Promise<void> {
  watch.onState({ kind: "connecting" });
  let failures = 0;
  while (!watch.signal.aborted) {
    let cause: unknown;
    try {
      for await (const frame of endingWhenSilent(watch)) {
        failures = 0;
        const accepted = frame.cut !== undefined && watch.order.accept(frame.cut);
        if (accepted) watch.onFrame(frame);
        watch.onState({ kind: accepted ? "live" : "catching-up" });
      }
    } catch (error) {
      cause = error;
    }
    if (watch.signal.aborted) return;
    failures += 1;
    const retryInMs = backoffMs(failures, watch.random());
    watch.onState({ kind: "broken", cause, retryInMs });
    await watch.wait(retryInMs, watch.signal);
  }
}

async function* endingWhenSilent(watch: TallyWatch): AsyncIterable<WatchTallyResponse> {
  const stream = new AbortController();
  let guard = new AbortController();
  const startGuard = () => {
    guard.abort();
    const current = new AbortController();
    guard = current;
    void watch.wait(silenceMsMax, current.signal).then(() => {
      if (!current.signal.aborted) stream.abort(new Error("no frame came in time"));
    });
  };
  startGuard();
  try {
    for await (const frame of watch.open(AbortSignal.any([watch.signal, stream.signal]))) {
      startGuard();
      yield frame;
    }
  } finally {
    guard.abort();
    stream.abort();
  }
}
