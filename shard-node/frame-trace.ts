/** Where the time of a recorded frame goes: waiting, sealing (with the look-up of voters), committing. One at a time. */
import type { Tracer, TraceSpan } from "#mesh/tracing.ts";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { SealedBatch } from "./batch.ts";
import type { WaitingVote } from "./vote-frame.ts";

/** Recorded and not yet answered: none, nearly always, and then no vote is looked at. */
let openTraces = 0;

export class FrameTrace {
  readonly #frame: TraceSpan;
  #stage: TraceSpan;
  #over = false;

  constructor(frame: TraceSpan) {
    this.#frame = frame;
    this.#stage = frame.child("wait", "internal");
    openTraces += 1;
  }

  enter(stage: "wait" | "seal" | "commit", attributes = {}): void {
    if (this.#over) return;
    this.#stage.end();
    this.#stage = this.#frame.child(stage, "internal", attributes);
  }

  /** RecordOutcome of each vote. */
  answered(outcomes: Uint8Array): void {
    this.#over = true;
    this.#stage.end();
    const recorded = outcomes.reduce((sum, outcome) => sum + Number(outcome === RecordOutcome.RECORDED), 0);
    this.#frame.set({ "urna.frame.votes": outcomes.length, "urna.frame.recorded": recorded });
    this.#frame.end();
    openTraces -= 1;
  }
}

/** Of a frame that came with a recorded trace; undefined of all others. */
export function traceFrame(tracer: Tracer | undefined, traceparent: string): FrameTrace | undefined {
  if (tracer === undefined || traceparent === "") return undefined;
  const span = tracer.received("frame", traceparent, false, {});
  return span === undefined ? undefined : new FrameTrace(span);
}

/** The recorded frames of the votes that become one batch. */
export class BatchTrace {
  readonly #frames: ReadonlySet<FrameTrace>;

  private constructor(frames: ReadonlySet<FrameTrace>) {
    this.#frames = frames;
  }

  /** The votes are being sealed now. Undefined when none of them is recorded. */
  static sealing(votes: readonly WaitingVote[]): BatchTrace | undefined {
    if (openTraces === 0) return undefined;
    const frames = new Set<FrameTrace>();
    for (const { frame } of votes) if (frame.trace !== undefined) frames.add(frame.trace);
    if (frames.size === 0) return undefined;
    const batch = new BatchTrace(frames);
    batch.#enter("seal");
    return batch;
  }

  /** Undefined when the votes must wait again. */
  sealed(batch: SealedBatch | undefined): void {
    if (batch === undefined) this.#enter("wait");
    else this.#enter("commit", { "urna.batch": batch.identity.number, "urna.batch.votes": batch.newVoteCount });
  }

  #enter(stage: "wait" | "seal" | "commit", attributes = {}): void {
    for (const frame of this.#frames) frame.enter(stage, attributes);
  }
}
