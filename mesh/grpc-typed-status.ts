/**
 * Gives a rejection to every failure that grpc-js finds by itself: a message over the limit, one that cannot be read or
 * decompressed, a passed deadline. It refuses those below all interceptors, on the call that does the HTTP/2 work, so that
 * call's own `sendStatus` is where they can be seen.
 */
import type { ServerInterceptingCall, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { status as codes } from "@grpc/grpc-js";
import type { GrpcStatus } from "#mesh/rejection-status.ts";
import { hasDetails, rejectionStatus } from "#mesh/rejection-status.ts";
import { RejectionError } from "#proto/rejections.ts";

/** A server interceptor. */
export function typedStatuses(_method: unknown, call: ServerInterceptingCallInterface): ServerInterceptingCall {
  const sendStatus = call.sendStatus.bind(call);
  call.sendStatus = (status) => sendStatus(typed(status));
  // The call itself, without a wrapper around every message: servers use no more of it than the interface.
  return call as ServerInterceptingCall;
}

function typed(status: GrpcStatus): GrpcStatus {
  if (status.code === codes.OK || hasDetails(status.metadata)) return status;
  const rejection = rejectionFor(status);
  return rejection === undefined ? status : rejectionStatus(rejection);
}

function rejectionFor({ code, details }: GrpcStatus): RejectionError | undefined {
  switch (code) {
    case codes.RESOURCE_EXHAUSTED:
      return new RejectionError("INVALID_REQUEST", details ?? "the message is too large");
    case codes.INTERNAL:
      return internalRejection(details ?? "");
    case codes.UNIMPLEMENTED:
      return new RejectionError("INVALID_REQUEST", details ?? "the call is not as its method wants it");
    case codes.UNKNOWN:
      return new RejectionError("INTERNAL");
    case codes.DEADLINE_EXCEEDED:
      // The call was under way: what it did is not known here.
      return new RejectionError("OUTCOME_UNKNOWN", "the deadline passed before the answer");
    default:
      return undefined;
  }
}

function internalRejection(details: string): RejectionError {
  if (details === "Error deserializing request") {
    return new RejectionError("INVALID_REQUEST", "the message is not the protobuf message that this method takes");
  }
  if (details === "Failed to decompress message" || details.startsWith("Invalid grpc-timeout value")) {
    return new RejectionError("INVALID_REQUEST", details);
  }
  return new RejectionError("INTERNAL");
}
