/** What a server tells of the calls of one method: that they came, how they were answered, and the spans of the few traced. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { CallMetrics, Transport } from "#mesh/call-metrics.ts";
import type { Tracer, TraceSpan } from "#mesh/tracing.ts";
import type { GrpcCodeName, RejectionError } from "#proto/rejections.ts";
import { grpcCode } from "#proto/rejections.ts";

export type ServerTelemetry = {
  readonly transport: Transport;
  readonly metrics: CallMetrics;
  /** Undefined: no traces. */
  readonly tracer: Tracer | undefined;
  /** Whether calls without a trace may begin one: where callers enter the mesh, and nowhere else. */
  readonly beginsTraces: boolean;
};

/** grpc-js has all values of a header, Connect the one. */
type RequestHeaders = { get(name: string): readonly (string | Buffer)[] | string | null };

export class MethodTelemetry {
  readonly #telemetry: ServerTelemetry | undefined;
  readonly #rpc: string;
  readonly #isUnary: boolean;
  readonly #attributes: Readonly<Record<string, string>>;

  constructor(method: DescMethod, telemetry: ServerTelemetry | undefined) {
    this.#telemetry = telemetry;
    this.#rpc = `${method.parent.typeName}/${method.name}`;
    this.#isUnary = method.methodKind === "unary";
    this.#attributes = rpcAttributes(method, telemetry?.transport === "connect" ? "connect_rpc" : "grpc");
  }

  /** The span of a call that came in; undefined when it is not recorded. */
  received(headers: RequestHeaders): TraceSpan | undefined {
    const { tracer, beginsTraces } = this.#telemetry ?? { beginsTraces: false };
    if (tracer === undefined) return undefined;
    const sent = headers.get("traceparent");
    const traceparent = (Array.isArray(sent) ? sent[0] : sent)?.toString();
    return tracer.received(this.#rpc, traceparent, beginsTraces, this.#attributes);
  }

  /** `startedAtMs` by performance.now(); without a rejection it was answered well. */
  answered(startedAtMs: number, span: TraceSpan | undefined, rejection?: RejectionError): void {
    const { metrics, transport } = this.#telemetry ?? {};
    const tookMs = this.#isUnary ? performance.now() - startedAtMs : undefined;
    if (transport !== undefined) metrics?.answered(this.#rpc, transport, rejection?.code ?? "OK", tookMs);
    if (span !== undefined) endCall(span, rejection);
  }
}

export function rpcAttributes(method: DescMethod, system: string): Readonly<Record<string, string>> {
  return { "rpc.system": system, "rpc.service": method.parent.typeName, "rpc.method": method.name };
}

function endCall(span: TraceSpan, rejection: RejectionError | undefined): void {
  if (rejection === undefined) {
    span.set({ "rpc.grpc.status_code": 0 });
    span.end();
    return;
  }
  span.set({ "rpc.grpc.status_code": grpcCode[rejection.code], "urna.rejection": rejection.reason });
  // What a caller did wrong is no failure of the server. The message stays out of it: it may quote the request.
  span.end(serverFaults.has(rejection.code) ? rejection.reason : undefined);
}

const serverFaults: ReadonlySet<GrpcCodeName> = new Set(["DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE"]);
