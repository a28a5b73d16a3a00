/** What every client channel of the mesh has in common: a connection of its own, which comes back within a second. */
import type { ChannelOptions } from "@grpc/grpc-js";
import { transportBytesMax } from "#proto/limits.ts";

export const channelOptions: ChannelOptions = {
  "grpc.use_local_subchannel_pool": 1,
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": transportBytesMax,
  "grpc.max_send_message_length": -1,
  // A proxy named in the environment is for the web, not for the mesh.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_retries": 0,
  "grpc.enable_channelz": 0,
};
