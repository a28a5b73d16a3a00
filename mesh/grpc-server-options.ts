/**
 * The limits of a gRPC server, as grpc-js is told them. Beyond them a caller waits, is refused, or loses its connection; none
 * of them lets memory grow without bound (I9). docs/calls.md has them in one table.
 */
import type { ServerOptions } from "@grpc/grpc-js";
import { typedStatuses } from "#mesh/grpc-typed-status.ts";

/** Connections of one server; further ones are closed at once. */
export const connectionsMax = 4_096;

/** Calls at once on one connection; HTTP/2 makes further ones wait in the client. */
const callsPerConnectionMax = 4_096;

/** Megabytes that HTTP/2 holds for one connection: its streams and what its peer does not read. Beyond them it refuses streams. */
const sessionMemoryMb = 256;

/** A peer that does not answer a ping in time is gone. */
const keepaliveTimeMs = 30_000;
const keepaliveTimeoutMs = 10_000;

/**
 * What connections of callers from outside may last: they are spread over the routers anew now and then, also over one that
 * has just come. Within the mesh connections last as long as their streams.
 */
export type ConnectionAge = {
  /** From then on (more or less a tenth, by chance) the server says GOAWAY: new calls go to another connection. */
  readonly ageMs: number;
  /** Calls that are under way then may go on for so long. */
  readonly graceMs: number;
  /** Without a call for so long. */
  readonly idleMs: number;
};

export function grpcServerOptions(messageBytesMax: number, age: ConnectionAge | undefined): ServerOptions {
  return {
    interceptors: [typedStatuses],
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": callsPerConnectionMax,
    "grpc-node.max_session_memory": sessionMemoryMb,
    "grpc.keepalive_time_ms": keepaliveTimeMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
    ...(age && {
      "grpc.max_connection_age_ms": age.ageMs,
      "grpc.max_connection_age_grace_ms": age.graceMs,
      "grpc.max_connection_idle_ms": age.idleMs,
    }),
    // Not switched off, though nobody reads its books: without them forceShutdown finds no connection to cut.
    "grpc.enable_channelz": 1,
  };
}
