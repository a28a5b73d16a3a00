import { PassThrough } from "node:stream";
import pino from "pino";
import { Registry } from "prom-client";
import { afterEach, describe, expect, test } from "vitest";
import { TraceCollector } from "#bench/trace-collector.ts";
import { CallMetrics } from "#mesh/call-metrics.ts";
import { ConfigReader } from "#mesh/config-reader.ts";
import { ConnectServer } from "#mesh/connect-server.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { Logger } from "#mesh/log.ts";
import { readMeshConfig } from "#mesh/mesh-config.ts";
import type { ServerTelemetry } from "#mesh/method-telemetry.ts";
import { OtlpTracer } from "#mesh/otlp-tracer.ts";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import { spansWaitingMax } from "#mesh/span-queue.ts";
import type { Tracer } from "#mesh/tracing.ts";
import { openTracer } from "#mesh/tracing.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const recorded = `00-${traceId}-${spanId}-01`;
const unrecorded = `00-${traceId}-${spanId}-00`;

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What it has said, line by line. */
function listeningLogger(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const stream = new PassThrough().on("data", (chunk) => lines.push(String(chunk)));
  return { log: pino({ level: "info" }, stream), lines };
}

async function startCollector(): Promise<TraceCollector> {
  const collector = await TraceCollector.start();
  closers.push(() => collector[Symbol.asyncDispose]());
  return collector;
}

function openedTracer(endpoint: string, ratio: number, log = listeningLogger().log, closeLimitMs = 20_000): Tracer {
  const process = { service: "urna-router", name: "router-7", deployment: "d" } as const;
  const tracer = new OtlpTracer({ endpoint, ratio }, process, log, { pauseMs: 10, closeLimitMs });
  closers.push(() => tracer.close());
  return tracer;
}

function telemetryOf(tracer: Tracer | undefined, beginsTraces = true): ServerTelemetry {
  return { transport: "grpc", metrics: new CallMetrics(new Registry()), tracer, beginsTraces };
}

type CastVote = (call: CallContext) => Promise<void>;

function votes(castVote: CastVote): ServiceImplementation<typeof VoteService> {
  return {
    castVote: async (_request, call) => {
      await castVote(call);
      return {};
    },
    castVoteBatch: async () => ({}),
    async *castVotes() {
      yield {};
    },
    getReceipt: () => Promise.reject(new RejectionError("NOT_FOUND")),
  };
}

async function serve(telemetry: ServerTelemetry, castVote: CastVote = async () => {}) {
  const server = new GrpcServer([bind(VoteService, votes(castVote))], { telemetry });
  const { port } = await server.listen("127.0.0.1:0");
  const client = createClient(VoteService, `127.0.0.1:${port}`);
  closers.push(
    () => server.close(0),
    () => client.close(),
  );
  return client;
}

test("a trace goes on through gRPC: each hop's span is the child of the one before", async () => {
  const collector = await startCollector();
  const tracer = openedTracer(collector.endpoint, 0);
  const inner = await serve(telemetryOf(tracer, false));
  const outer = await serve(telemetryOf(tracer), async ({ trace }) => void (await inner.castVote({}, { trace })));
  await outer.castVote({}, { headers: { traceparent: recorded } });
  await tracer.close();

  const spans = collector.spans(traceId);
  const [received, sent, arrived] = ["outer", "client", "inner"].map((_, hop) => hopOf(spans, hop));
  expect(spans).toHaveLength(3);
  expect(received?.parentSpanId).toBe(spanId);
  expect(sent?.parentSpanId).toBe(received?.spanId);
  expect(arrived?.parentSpanId).toBe(sent?.spanId);
  expect(received).toMatchObject({
    service: "urna-router",
    instance: "router-7",
    name: "urna.v1.VoteService/CastVote",
    attributes: { "rpc.system": "grpc", "rpc.method": "CastVote", "rpc.grpc.status_code": 0 },
  });
});

/** The span so many hops below the caller's. */
function hopOf(spans: ReturnType<TraceCollector["spans"]>, hop: number) {
  let parent = spanId;
  for (let i = 0; ; i++) {
    const span = spans.find(({ parentSpanId }) => parentSpanId === parent);
    if (i === hop || span === undefined) return span;
    parent = span.spanId;
  }
}

test("a trace goes on through Connect, and a rejection is on its span by reason, not by message", async () => {
  const collector = await startCollector();
  const tracer = openedTracer(collector.endpoint, 0);
  const refuse = () => Promise.reject(new RejectionError("ALREADY_VOTED", "secret of voter-1"));
  const server = new ConnectServer([bind(VoteService, votes(refuse))], {
    telemetry: { ...telemetryOf(tracer), transport: "connect" },
  });
  const { port } = await server.listen("127.0.0.1:0");
  closers.push(() => server.close(0));
  await fetch(`http://127.0.0.1:${port}/urna.v1.VoteService/CastVote`, {
    method: "POST",
    headers: { "content-type": "application/json", traceparent: recorded },
    body: "{}",
  });
  await tracer.close();
  const [span] = collector.spans(traceId);
  expect(span).toMatchObject({ parentSpanId: spanId, attributes: { "urna.rejection": "ALREADY_VOTED" } });
  expect(span?.attributes).toMatchObject({ "rpc.system": "connect_rpc", "rpc.grpc.status_code": 6 });
  expect(collector.bodies.join()).not.toContain("voter-1");
});

describe("whether a call is recorded", () => {
  const garbage = [
    "",
    "garbage",
    `00-${traceId}-${spanId}`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    `ff-${traceId}-${spanId}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${traceId}-${spanId}-01-more`,
    `01-${traceId}-${spanId}-01-${"x".repeat(10_000)}`,
  ];
  test.each(garbage)("traceparent %j is as none: the ratio decides, under another trace", async (traceparent) => {
    const tracer = openedTracer("http://127.0.0.1:9/v1/traces", 1);
    expect(tracer.received("call", traceparent, true, {})?.traceparent).not.toContain(traceId);
    expect(tracer.received("call", traceparent, true, {})).toBeDefined();
    expect(tracer.received("call", traceparent, false, {})).toBeUndefined();
    const seldom = openedTracer("http://127.0.0.1:9/v1/traces", 0);
    expect(seldom.received("call", traceparent, true, {})).toBeUndefined();
  });

  test("a caller's own decision goes before the ratio, both ways", async () => {
    const always = openedTracer("http://127.0.0.1:9/v1/traces", 1);
    expect(always.received("call", unrecorded, true, {})).toBeUndefined();
    const never = openedTracer("http://127.0.0.1:9/v1/traces", 0);
    expect(never.received("call", recorded, false, {})?.traceparent).toContain(traceId);
  });

  test("of many calls the share that the ratio says is recorded", async () => {
    const tracer = openedTracer("http://127.0.0.1:9/v1/traces", 0.1);
    const begun = Array.from({ length: 5_000 }, () => tracer.received("call", undefined, true, {}));
    const share = begun.filter((span) => span !== undefined).length / begun.length;
    // Six standard deviations.
    expect(Math.abs(share - 0.1)).toBeLessThan(0.026);
  });
});

test("without an endpoint there is no tracer, no span, and nothing on the wire", async () => {
  const nothing = await openTracer(
    undefined,
    { service: "urna-router", name: "r", deployment: "d" },
    listeningLogger().log,
  );
  expect(nothing).toBeUndefined();
  const seen: (string | undefined)[] = [];
  const inner = await serve(telemetryOf(nothing, false), async (call) => void seen.push(call.header("traceparent")));
  const outer = await serve(telemetryOf(nothing), async ({ trace }) => {
    seen.push(trace?.traceparent);
    await inner.castVote({}, { trace });
  });
  await outer.castVote({}, { headers: { traceparent: recorded } });
  expect(seen).toEqual([undefined, undefined]);
});

test("a collector that refuses costs spans, counted, and one line in the log; another when it takes them again", async () => {
  const collector = await startCollector();
  const { log, lines } = listeningLogger();
  const tracer = openedTracer(collector.endpoint, 1, log);
  collector.status = 400;
  const endOne = () => tracer.received("call", undefined, true, {})?.end();
  for (const expected of [1, 2]) {
    endOne();
    await expect.poll(() => tracer.counts.dropped, { timeout: 20_000 }).toBe(expected);
  }
  expect(lines.filter((line) => line.includes("does not take traces"))).toHaveLength(1);
  collector.status = 200;
  endOne();
  await tracer.close();
  expect(tracer.counts).toEqual({ exported: 1, dropped: 2 });
  expect(lines.filter((line) => line.includes("takes traces again"))).toHaveLength(1);
});

test("spans that wait for a collector are bounded, and what is dropped is counted (I9)", async () => {
  const collector = await startCollector();
  const tracer = openedTracer(collector.endpoint, 1);
  for (let i = 0; i < spansWaitingMax + 10; i++) tracer.received("call", undefined, true, {})?.end();
  expect(tracer.counts.dropped).toBe(10);
  await tracer.close();
  expect(tracer.counts).toEqual({ exported: spansWaitingMax, dropped: 10 });
});

test("a tracer is closed though the collector never answers", async () => {
  const collector = await startCollector();
  const answer = Promise.withResolvers<void>();
  collector.hold = answer.promise;
  const tracer = openedTracer(collector.endpoint, 1, undefined, 100);
  tracer.received("call", undefined, true, {})?.end();
  await tracer.close();
  expect(tracer.counts).toEqual({ exported: 0, dropped: 0 });
  answer.resolve();
});

describe("what is configured", () => {
  const read = (more: Record<string, string>) =>
    readMeshConfig(new ConfigReader({ URNA_DIRECTORY_FILE: "d.json", ...more })).traces;
  const endpoint = "http://127.0.0.1:4318/v1/traces";

  test("traces are off without an endpoint; with one, one call of a hundred is recorded", () => {
    expect(read({ URNA_TRACES_RATIO: "1" })).toBeUndefined();
    expect(read({ URNA_TRACES_ENDPOINT: endpoint })).toEqual({ endpoint, ratio: 0.01 });
    expect(read({ URNA_TRACES_ENDPOINT: endpoint, URNA_TRACES_RATIO: "0.5" })).toEqual({ endpoint, ratio: 0.5 });
  });

  test.each(["-0.1", "1.1", "a lot", " ", "NaN"])("a ratio of %j is refused by name", (ratio) => {
    const variables = { URNA_TRACES_ENDPOINT: endpoint, URNA_TRACES_RATIO: ratio };
    expect(() => read(variables)).toThrow("URNA_TRACES_RATIO");
  });

  test.each(["127.0.0.1:4318", "file:///tmp/x", "http://"])("an endpoint %j is refused by name", (wrong) => {
    expect(() => read({ URNA_TRACES_ENDPOINT: wrong })).toThrow("URNA_TRACES_ENDPOINT");
  });
});
