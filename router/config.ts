/** Everything that can be set about a router: the only place here that reads the environment. */
import { readFileSync } from "node:fs";
import { ConfigError, ConfigReader } from "#mesh/config-reader.ts";
import type { ConnectionAge } from "#mesh/grpc-server-options.ts";
import { formatHostPort } from "#mesh/host-port.ts";
import type { MeshConfig } from "#mesh/mesh-config.ts";
import { readMeshConfig } from "#mesh/mesh-config.ts";
import type { RedisPlace } from "#mesh/redis-place.ts";
import { readRedisPlace } from "#mesh/redis-place.ts";
import { batchRequestVotesMax, frameVotesMax, pulseMs } from "#proto/limits.ts";
import { publishedForMs } from "#proto/published-tally.ts";
import type { AdmissionLimits } from "./admission.ts";
import { routerKeyBytes } from "./election-key.ts";
import type { ResendLimits } from "./resends.ts";
import type { LinkLimits } from "./shard-link.ts";
import type { FanoutLimits } from "./tally-fanout.ts";
import type { MemoryLimits } from "./tally-memory.ts";

export type RouterConfig = {
  /** Of this node, in logs. */
  readonly name: string;
  readonly logLevel: string;
  readonly mesh: MeshConfig;
  /** "host:port"; port 0 asks for a free one. */
  readonly grpcListen: string;
  readonly connectListen: string;
  readonly metricsListen: string;
  /** Origins of web pages that may call besides the router's own. */
  readonly allowedOrigins: readonly string[];
  /** How long connections of gRPC callers last. */
  readonly connectionAge: ConnectionAge;
  /** Folder of the built page. */
  readonly webRoot: string | undefined;
  /** Votes from their arrival to their outcome; beyond them callers are told OVERLOADED (I9). */
  readonly waitingVotesMax: number;
  readonly adminToken: string;
  /** Wraps election keys; routers alone have it. */
  readonly routerKey: Buffer;
  /** Where the tally publishes its answers; undefined: nowhere, and every read asks it. */
  readonly redis?: RedisPlace | undefined;
};

/** Throws ConfigError naming the variable. */
export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): RouterConfig {
  const reader = new ConfigReader(env);
  return {
    name: reader.text("URNA_NAME", "router"),
    logLevel: reader.text("URNA_LOG_LEVEL", "info"),
    mesh: readMeshConfig(reader),
    grpcListen: formatHostPort(reader.hostPort("URNA_GRPC_LISTEN")),
    connectListen: formatHostPort(reader.hostPort("URNA_CONNECT_LISTEN")),
    metricsListen: formatHostPort(reader.hostPort("URNA_METRICS_LISTEN")),
    allowedOrigins: reader.list("URNA_ALLOWED_ORIGINS"),
    webRoot: reader.optional("URNA_WEB_ROOT"),
    connectionAge: {
      ageMs: reader.integer("URNA_CONNECTION_AGE_MS", { min: 1_000, max: 86_400_000, fallback: 30 * 60_000 }),
      ...connectionEnd,
    },
    waitingVotesMax: reader.integer("URNA_WAITING_VOTES_MAX", {
      min: batchRequestVotesMax,
      max: 1_000_000,
      fallback: admissionLimits.votesMax,
    }),
    adminToken: readAdminToken(reader),
    routerKey: readRouterKey(reader),
    redis: readRedisPlace(reader),
  };
}

function readAdminToken(reader: ConfigReader): string {
  const variable = "URNA_ADMIN_TOKEN_FILE";
  const token = readFile(variable, reader.text(variable)).toString("utf8").trim();
  if (token === "") throw new ConfigError(variable, "names an empty file");
  return token;
}

function readRouterKey(reader: ConfigReader): Buffer {
  const variable = "URNA_ROUTER_KEY_FILE";
  const key = readFile(variable, reader.text(variable));
  if (key.length !== routerKeyBytes) {
    throw new ConfigError(variable, `must name a file of ${routerKeyBytes} random bytes; it has ${key.length}`);
  }
  return key;
}

function readFile(variable: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new ConfigError(
      variable,
      `names a file that cannot be read: ${cause instanceof Error ? cause.message : cause}`,
    );
  }
}

/** Votes in the router, unless its environment says otherwise. At about a kilobyte each they stay within 64 MB. */
export const admissionLimits: AdmissionLimits = { votesMax: 60_000, bytesMax: 64 * 1024 * 1024 };

export const linkLimits: LinkLimits & ResendLimits = {
  outstandingFramesMax: 16,
  outstandingVotesMax: 20_000,
  patienceMs: 1_000,
  // Looks come ten times a second: a shard that answers nothing for two seconds is taken out of service.
  failedLooksMax: 20,
  trialAfterMs: 500,
  trialLimitMs: 3 * pulseMs,
  // Before the failed looks begin to count: a takeover ends within five seconds.
  absenceMs: 3_000,
  // The slowest commits of a shard at work, also of one that shares its disk and processors with three others, end within it.
  queueDelay: { targetMs: 1_000, intervalMs: 500 },
  stuckAfterMs: 500,
  stuckVotesMax: 2_048,
  sendsMax: 32,
  roundsMax: 4,
};

/** How a connection of gRPC callers ends. */
export const connectionEnd = { graceMs: 600_000, idleMs: 900_000 };

/** A stream of votes ends by itself after so long: before its connection, however old that is, is cut under it. */
export const streamAgeMs = 540_000;

/** Votes of one stream that may be unsettled, or settled and not yet taken. */
export const streamVotesMax = 8_192;

/** How long an election is looked for at its home shard. */
export const lookUpLimitMs = 3_000;

/** What of the tally's answers is kept here; 64 MB are a thousand regions of fifty children, or a dozen tables of 20,000 regions. */
export const memoryLimits: MemoryLimits = {
  freshMs: publishedForMs,
  bytesMax: 64 * 1024 * 1024,
  electionsMax: 1_000,
  newBeginningMs: 30_000,
};

export const fanoutLimits: FanoutLimits = {
  heldMax: 1_000,
  polledMax: 256,
  askedOnceMax: 1_000,
  lingerMs: 5_000,
  listenNamesMax: 100,
  listenLimitMs: 1_000,
};

/** How often the router looks whether its health has changed. */
export const healthTickMs = 1_000;

/** A drain: votes may settle for so long, then what is left is answered; then the answers may leave. */
export const drainSettleMs = 5_000;
export const drainGraceMs = 2_000;

if (admissionLimits.votesMax < batchRequestVotesMax) throw new Error("config: a router must hold one batch");
if (linkLimits.outstandingVotesMax < frameVotesMax) throw new Error("config: a shard must be sent one whole frame");
if (linkLimits.trialLimitMs <= pulseMs) throw new Error("config: a trial must see a live shard's pulse");
if (streamAgeMs >= connectionEnd.graceMs) throw new Error("config: streams must end before their connections");
if (streamVotesMax >= admissionLimits.votesMax) throw new Error("config: one stream must not fill a router");
