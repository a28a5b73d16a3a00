/**
 * Gives a rejection to every failure that grpc-js finds by itself: a message over the limit, one that cannot be read or
 * decompressed, a passed deadline. It refuses those below all interceptors, on the call that does the HTTP/2 work, so that
 * call's own `sendStatus` is where they can be seen.
 */
import type { ServerInterceptingCall, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import type { GrpcStatus } from "#mesh/rejection-status.ts";
import { hasDetails, rejectionStatus } from "#mesh/rejection-status.ts";
import { rejectionOfTransport } from "#mesh/transport-failure.ts";

/** A server interceptor. */
export function typedStatuses(_method: unknown, call: ServerInterceptingCallInterface): ServerInterceptingCall {
  const sendStatus = call.sendStatus.bind(call);
  call.sendStatus = (status) => sendStatus(typed(status));
  // The call itself, without a wrapper around every message: servers use no more of it than the interface.
  return call as ServerInterceptingCall;
}

function typed(status: GrpcStatus): ReturnType<typeof rejectionStatus> {
  const rejection = hasDetails(status.metadata) ? undefined : rejectionOfTransport(status.code, status.details);
  return rejection === undefined ? (status as ReturnType<typeof rejectionStatus>) : rejectionStatus(rejection);
}
