/** Spans made by OpenTelemetry and sent by OTLP over HTTP. Loaded only where traces are switched on. */
import type { Context, Tracer as OtelTracer, Span } from "@opentelemetry/api";
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { parseTraceParent } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import type { Logger } from "#mesh/log.ts";
import { releaseVersion } from "#mesh/release.ts";
import { SpanQueue } from "#mesh/span-queue.ts";
import { within } from "#mesh/time-limit.ts";
import type { SpanAttributes, SpanCounts, TracedProcess, Tracer, TraceSpan, TracesConfig } from "#mesh/tracing.ts";

/** One try to reach the collector, retries included. */
const exportLimitMs = 5_000;
/** At once, which only the last ones of a process are. */
const exportsMax = 16;
const traceparentLengthMax = 256;

export type ExportTimes = {
  /** Between two exports. */
  readonly pauseMs: number;
  /** Of the last export: a drain does not wait for a collector that is away. */
  readonly closeLimitMs: number;
};

const exportTimes: ExportTimes = { pauseMs: 1_000, closeLimitMs: 1_000 };

export class OtlpTracer implements Tracer {
  readonly #ratio: number;
  readonly #closeLimitMs: number;
  #closed: Promise<void> | undefined;
  readonly #queue: SpanQueue;
  readonly #provider: TracerProvider;
  readonly #tracer: OtelTracer;

  constructor(
    { endpoint, ratio }: TracesConfig,
    { service, name, deployment }: TracedProcess,
    log: Logger,
    { pauseMs, closeLimitMs } = exportTimes,
  ) {
    this.#ratio = ratio;
    this.#closeLimitMs = closeLimitMs;
    const exporter = new OTLPTraceExporter({
      url: endpoint,
      timeoutMillis: exportLimitMs,
      concurrencyLimit: exportsMax,
    });
    this.#queue = new SpanQueue(exporter, { collector: new URL(endpoint).host, pauseMs, log });
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({
        "service.name": service,
        "service.instance.id": name,
        "service.namespace": deployment,
        "service.version": releaseVersion,
      }),
      spanProcessors: [this.#queue],
    });
    this.#tracer = this.#provider.getTracer("urna", releaseVersion);
  }

  get counts(): SpanCounts {
    return this.#queue.counts;
  }

  /** Spans that have ended and that the collector has not taken yet. */
  get waiting(): number {
    return this.#queue.waiting;
  }

  received(
    name: string,
    traceparent: string | undefined,
    mayBegin: boolean,
    attributes: SpanAttributes,
  ): TraceSpan | undefined {
    const parent = parentOf(traceparent);
    if (parent === undefined) {
      // Decided before there is a span: of a hundred calls that are not recorded none makes an object.
      if (!mayBegin || Math.random() >= this.#ratio) return undefined;
    } else if ((parent.traceFlags & TraceFlags.SAMPLED) === 0) return undefined;
    const context = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    return new OtlpSpan(this.#tracer, this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, context));
  }

  async close(): Promise<void> {
    this.#closed ??= within(this.#closeLimitMs, this.#provider.shutdown());
    await this.#closed;
  }
}

/** Undefined without one, and of what is none: then it is as if none had come. */
function parentOf(traceparent: string | undefined) {
  if (traceparent === undefined || traceparent.length > traceparentLengthMax) return undefined;
  const parsed = parseTraceParent(traceparent);
  return parsed === null ? undefined : { ...parsed, isRemote: true };
}

const kinds = { client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const;

class OtlpSpan implements TraceSpan {
  readonly #tracer: OtelTracer;
  readonly #span: Span;
  readonly #context: Context;

  constructor(tracer: OtelTracer, span: Span) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = trace.setSpan(ROOT_CONTEXT, span);
  }

  get traceparent(): string {
    const { traceId, spanId } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-01`;
  }

  child(name: string, kind: "client" | "internal", attributes: SpanAttributes = {}, startedAtMs?: number): TraceSpan {
    const startTime = startedAtMs ?? performance.now();
    const options = { kind: kinds[kind], attributes, startTime };
    return new OtlpSpan(this.#tracer, this.#tracer.startSpan(name, options, this.#context));
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes(attributes);
  }

  end(failure?: string): void {
    if (failure !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
    this.#span.end();
  }
}
