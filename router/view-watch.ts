/**
 * One region's frames for all who watch it at this router: from Redis while Redis tells the latest, else from the tally's
 * own watch. None is behind the one before, and none is told twice (I7). A watch that has begun outlives the tally's restart,
 * and that of Redis.
 */
import { setTimeout as delay } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { FrameCut } from "#proto/frame-order.ts";
import type { WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { TallyView } from "#proto/published-tally.ts";
import { publishEveryMs, publishedForMs } from "#proto/published-tally.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { FoundAnswer, TallyFanout } from "./tally-fanout.ts";

export type ReadSource = FoundAnswer["source"] | "tally";

export type ViewWatchParts = {
  readonly fanout: TallyFanout;
  readonly view: TallyView;
  /** The tally's own watch. Throws RejectionError. */
  readonly openDirect: (signal: AbortSignal) => AsyncIterable<WatchTallyResponse>;
  readonly read: (source: ReadSource) => void;
};

/** A watch goes on without any frame for so long. */
const patienceMs = 15_000;
const retryMs = 250;
/** Frames come at most twice a second, wherever they come from; a beat may be a little early. */
const paceMs = publishEveryMs * 0.8;

export class ViewWatch {
  readonly #parts: ViewWatchParts;
  readonly #signal: AbortSignal;
  #shown: FrameCut | undefined;
  #shownAtMs = performance.now();
  #release: (() => void) | undefined;

  constructor(parts: ViewWatchParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  async *frames(): AsyncGenerator<EncodedMessage, undefined> {
    try {
      while (!this.#signal.aborted) {
        const found = await this.#parts.fanout.find(this.#parts.view);
        if (found === undefined) yield* this.#fromTally();
        else yield* this.#fromRedis(found);
      }
    } finally {
      this.#release?.();
    }
  }

  async *#fromRedis({ answer, source }: FoundAnswer): AsyncGenerator<EncodedMessage, undefined> {
    const { fanout, view, read } = this.#parts;
    this.#hold();
    const waitMs = this.#shown === undefined ? 0 : paceMs - (performance.now() - this.#shownAtMs);
    const [message] = answer.messages;
    if (message === undefined || !this.#isNew(answer.cut)) await fanout.untilTold(view, publishedForMs, this.#signal);
    else if (waitMs > 0) await delay(waitMs, undefined, { signal: this.#signal }).catch(() => {});
    else {
      this.#note(answer.cut);
      read(source);
      yield message;
    }
  }

  /** Until Redis tells the latest again. */
  async *#fromTally(): AsyncGenerator<EncodedMessage, undefined> {
    const { fanout, view, openDirect, read } = this.#parts;
    const leave = new AbortController();
    try {
      for await (const frame of openDirect(AbortSignal.any([this.#signal, leave.signal]))) {
        this.#hold();
        const cut = frame.cut ?? { vector: [] };
        if (fanout.pass(view.electionId, cut) && this.#isNew(cut)) {
          this.#note(cut);
          read("tally");
          yield new EncodedMessage(toBinary(WatchTallyResponseSchema, frame));
        }
        if (fanout.show(view) !== undefined) return;
      }
      throw new RejectionError("TALLY_UNAVAILABLE", "the tally ended the watch");
    } catch (cause) {
      if (this.#signal.aborted) return;
      const isAway = cause instanceof RejectionError && cause.reason === "TALLY_UNAVAILABLE";
      const isPatient = this.#shown !== undefined && performance.now() - this.#shownAtMs < patienceMs;
      if (!isAway || !isPatient) throw cause;
      await fanout.untilTold(view, retryMs, this.#signal);
    } finally {
      leave.abort();
    }
  }

  /** From now on Redis is listened to. */
  #hold(): void {
    this.#release ??= this.#parts.fanout.hold(this.#parts.view);
  }

  #isNew({ frame }: FrameCut): boolean {
    const shown = this.#shown?.frame;
    if (this.#shown === undefined || shown?.incarnation !== frame?.incarnation) return true;
    return (frame?.number ?? 0n) > (shown?.number ?? 0n);
  }

  #note(cut: FrameCut): void {
    this.#shown = cut;
    this.#shownAtMs = performance.now();
  }
}
