/**
 * Traces: where the time of a few calls went, hop by hop. Off unless an endpoint is configured: then there is no tracer, its
 * libraries are not even loaded, and a span that is not recorded is `undefined` wherever one is handed on.
 */
import type { AnnouncedService } from "#mesh/announcer.ts";
import type { Logger } from "#mesh/log.ts";

export type TracesConfig = {
  /** OTLP over HTTP: "http://127.0.0.1:4318/v1/traces". */
  readonly endpoint: string;
  /** The share, 0 to 1, of calls without a trace of their own that begin one. A caller's own decision goes before it. */
  readonly ratio: number;
};

export type SpanAttributes = Readonly<Record<string, string | number>>;

/** A span that is recorded. It never holds a voter ID, a ballot, an idempotency key or a nullifier. */
export interface TraceSpan {
  /** As W3C trace context has it: what makes the next hop's span a child of this one. */
  readonly traceparent: string;
  /** Times are by performance.now(); default: now. */
  child(name: string, kind: "client" | "internal", attributes?: SpanAttributes, startedAtMs?: number): TraceSpan;
  set(attributes: SpanAttributes): void;
  /** `failure`: what went wrong, for people. Only once. */
  end(failure?: string): void;
}

/** Spans since the start of the process, by what became of them. */
export type SpanCounts = { readonly exported: number; readonly dropped: number };

export interface Tracer {
  /**
   * The span of a call that came in, or undefined when it is not recorded: its caller decided so by the flag of its
   * traceparent. Without one, or with garbage, it is the ratio's to decide where `mayBegin`.
   */
  received(
    name: string,
    traceparent: string | undefined,
    mayBegin: boolean,
    attributes: SpanAttributes,
  ): TraceSpan | undefined;
  readonly counts: SpanCounts;
  /** Sends what is left, within about a second. Never throws. */
  close(): Promise<void>;
}

/** Whose spans they are. */
export type TracedProcess = {
  readonly service: AnnouncedService;
  /** Of this instance: "router-0". */
  readonly name: string;
  readonly deployment: string;
};

export async function openTracer(
  config: TracesConfig | undefined,
  process: TracedProcess,
  log: Logger,
): Promise<Tracer | undefined> {
  if (config === undefined) return undefined;
  const { OtlpTracer } = await import("#mesh/otlp-tracer.ts");
  return new OtlpTracer(config, process, log);
}
