/** Everything that can be set about a tally process: the only place here that reads the environment. */
import { ConfigReader } from "#mesh/config-reader.ts";
import { formatHostPort } from "#mesh/host-port.ts";
import type { MeshConfig } from "#mesh/mesh-config.ts";
import { readMeshConfig } from "#mesh/mesh-config.ts";
import { redisTimes } from "#mesh/redis-link.ts";
import type { RedisPlace } from "#mesh/redis-place.ts";
import { readRedisPlace } from "#mesh/redis-place.ts";
import { deadlineMsMax, pulseMs } from "#proto/limits.ts";

export type TallyConfig = {
  /** Of this node, in logs. */
  readonly name: string;
  readonly logLevel: string;
  readonly mesh: MeshConfig;
  /** "host:port"; port 0 asks for a free one. */
  readonly grpcListen: string;
  readonly connectListen: string;
  readonly metricsListen: string;
  /** Origins of web pages that may call besides the tally's own. */
  readonly allowedOrigins: readonly string[];
  /** Where the tally keeps what must outlive it: the highest checkpoint of each shard. Made where it is not there. */
  readonly stateFolder: string;
  /** Where answers are published for routers; undefined: nowhere, and routers ask. */
  readonly redis?: RedisPlace | undefined;
};

/** Throws ConfigError naming the variable. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): TallyConfig {
  const reader = new ConfigReader(env);
  return {
    name: reader.text("URNA_NAME", "tally"),
    logLevel: reader.text("URNA_LOG_LEVEL", "info"),
    mesh: readMeshConfig(reader),
    grpcListen: formatHostPort(reader.hostPort("URNA_GRPC_LISTEN")),
    connectListen: formatHostPort(reader.hostPort("URNA_CONNECT_LISTEN")),
    metricsListen: formatHostPort(reader.hostPort("URNA_METRICS_LISTEN")),
    allowedOrigins: reader.list("URNA_ALLOWED_ORIGINS"),
    stateFolder: reader.text("URNA_STATE_FOLDER"),
    redis: readRedisPlace(reader),
  };
}

/** How often the tally looks whether a frame is due: frames come at most this often. */
export const tickMs = 100;

/** A frame is made at least this often, so that readers see `as_of` move. */
export const frameAgeMsMax = 5_000;

export const watcherLimits = { beatMs: 500, watchersMax: 10_000 };

/** Calls that each keep one frame. A recount reads every row of an election, so few at a time. */
export const tableLimits = { holdersMax: 16, safeMs: deadlineMsMax };
export const recountLimits = { holdersMax: 2, safeMs: 10 * deadlineMsMax };

export const serviceLimits = { unknownElectionWaitMs: 1_000, waitingCallsMax: 1_000, tableRegionsMax: 500 };

/** Nobody waits for what the tally publishes, so Redis may take longer than readers would give it. */
export const publisherTimes = { ...redisTimes, commandLimitMs: 1_000 };
export const publisherLimits = {
  viewsMax: 4_000,
  batchViews: 64,
  batchBytes: 256 * 1024,
  largeBytes: 64 * 1024,
  tableRegionsMax: serviceLimits.tableRegionsMax,
};

export const followerTimes = {
  backoffMsMin: 50,
  backoffMsMax: 500,
  firstMessageMsMax: 15_000,
  silenceMs: 3_000,
  behindMsMax: 3_000,
};

export const witnessTimes = {
  proofDeadlineMs: 5_000,
  proofEveryMs: 1_000,
  unprovedMsMax: 30_000,
  shorterMsMax: 3_000,
  fileEveryMs: 1_000,
};

export const auditLimits = { silenceMs: 60_000, auditorsMax: 8 };

export const definitionDeadlineMs = 5_000;

export const rowCounterTimes = { backoffMsMin: 50, backoffMsMax: 500, patienceMs: 15_000 };

/** How long running calls may go on once the tally drains; endless ones are ended at once. */
export const drainGraceMs = 2_000;

if (followerTimes.silenceMs <= 2 * pulseMs)
  throw new Error("config: a shard's pulse may be late without its being lost");
if (watcherLimits.beatMs < tickMs) throw new Error("config: watchers cannot be served more often than frames are made");
if (frameAgeMsMax < watcherLimits.beatMs) throw new Error("config: frames must not grow old between two beats");
