/** A grpc-js call, as implementations see it. */
import type { EventEmitter } from "node:events";
import type { Deadline, Metadata } from "@grpc/grpc-js";
import type { MethodTelemetry } from "#mesh/method-telemetry.ts";
import type { CallContext } from "#mesh/service-call.ts";
import { formatSpiffeId, type SpiffeId } from "#mesh/spiffe-id.ts";
import type { TraceSpan } from "#mesh/tracing.ts";

type GrpcCall = EventEmitter & { readonly cancelled: boolean; readonly metadata: Metadata; getDeadline(): Deadline };

export class GrpcCallContext implements CallContext {
  readonly #call: GrpcCall;
  readonly deadlineMs: number | undefined;
  readonly trace: TraceSpan | undefined;
  readonly #peer: SpiffeId | undefined;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(call: GrpcCall, telemetry: MethodTelemetry, peer: SpiffeId | undefined) {
    this.#call = call;
    this.#peer = peer;
    this.trace = telemetry.received(call.metadata);
    const deadline = call.getDeadline();
    const at = deadline instanceof Date ? deadline.getTime() : deadline;
    this.deadlineMs = at === Number.POSITIVE_INFINITY ? undefined : at - Date.now();
  }

  get peer(): string | undefined {
    return this.#peer === undefined ? undefined : formatSpiffeId(this.#peer);
  }

  /** The call is over although its caller is still there. */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }

  // Made only when somebody asks: most calls end before they are cancelled, and a controller costs microseconds.
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      this.#controller = controller;
      if (this.#call.cancelled || this.#aborted) controller.abort();
      else this.#call.once("cancelled", () => controller.abort());
    }
    return this.#controller.signal;
  }

  header(name: string): string | undefined {
    return this.#call.metadata.get(name)[0]?.toString();
  }
}
