/** The span of a call to another process: a child of the span of the call that it is made for. */
import type { EventEmitter } from "node:events";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Metadata, StatusObject } from "@grpc/grpc-js";
import { status } from "@grpc/grpc-js";
import { rpcAttributes } from "#mesh/method-telemetry.ts";
import type { TraceSpan } from "#mesh/tracing.ts";

/** Undefined when the caller's call is not recorded; else its context is in the metadata, for whoever answers. */
export function clientSpan(
  parent: TraceSpan | undefined,
  method: DescMethod,
  metadata: Metadata,
): TraceSpan | undefined {
  if (parent === undefined) return undefined;
  const span = parent.child(`${method.parent.typeName}/${method.name}`, "client", rpcAttributes(method, "grpc"));
  metadata.set("traceparent", span.traceparent);
  return span;
}

export function endWithCall(span: TraceSpan | undefined, call: EventEmitter): void {
  if (span === undefined) return;
  call.once("status", ({ code }: StatusObject) => {
    span.set({ "rpc.grpc.status_code": code });
    span.end(code === status.OK ? undefined : status[code]);
  });
}
