import { expect, test } from "vitest";
import type { Tracer, TraceSpan } from "#mesh/tracing.ts";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { BatchTrace, traceFrame } from "./frame-trace.ts";
import type { WaitingFrame, WaitingVote } from "./vote-frame.ts";

/** Writes down which spans are begun and ended. */
function listeningTracer(said: string[]): Tracer {
  const span = (name: string): TraceSpan => {
    said.push(`begin ${name}`);
    return {
      traceparent: name,
      child: (child) => span(child),
      set: () => {},
      end: () => void said.push(`end ${name}`),
    };
  };
  return {
    received: (name, traceparent) => (traceparent === "recorded" ? span(name) : undefined),
    counts: { exported: 0, dropped: 0 },
    close: async () => {},
  };
}

function voteOf(frame: Pick<WaitingFrame, "trace">): WaitingVote {
  return { frame } as WaitingVote;
}

test("a recorded frame is in one stage at a time, waits again when its batch is put back, and ends with its answer", () => {
  const said: string[] = [];
  const tracer = listeningTracer(said);
  const frame = { trace: traceFrame(tracer, "recorded") };
  const votes = [voteOf(frame), voteOf({ trace: undefined }), voteOf(frame)];
  BatchTrace.sealing(votes)?.sealed(undefined);
  expect(BatchTrace.sealing([voteOf({ trace: undefined })])).toBeUndefined();
  frame.trace?.answered(Uint8Array.of(RecordOutcome.RECORDED));
  frame.trace?.enter("commit");
  expect(said).toEqual([
    "begin frame",
    "begin wait",
    "end wait",
    "begin seal",
    "end seal",
    "begin wait",
    "end wait",
    "end frame",
  ]);
});

test("without a trace, or with one that is not recorded, a frame has none", () => {
  const tracer = listeningTracer([]);
  expect(traceFrame(undefined, "recorded")).toBeUndefined();
  expect(traceFrame(tracer, "")).toBeUndefined();
  expect(traceFrame(tracer, "garbage")).toBeUndefined();
});
