/** What a shard node, and a migration, is told by its environment; the only file of this room that reads it. */
import { ConfigError, ConfigReader } from "#mesh/config-reader.ts";
import { formatHostPort } from "#mesh/host-port.ts";
import type { MeshConfig } from "#mesh/mesh-config.ts";
import { readMeshConfig } from "#mesh/mesh-config.ts";
import { pulseMs, slotCount } from "#proto/limits.ts";
import type { SlotRange } from "#proto/slots.ts";
import type { PostgresAddress } from "./postgres-session.ts";
import type { SpareTimes } from "./spare-watch.ts";
import type { QueueLimits } from "./vote-queue.ts";

export type ShardNodeConfig = {
  readonly name: string;
  readonly logLevel: string;
  readonly shardId: number;
  readonly mesh: MeshConfig;
  readonly grpcListen: string;
  readonly metricsListen: string;
  readonly address: PostgresAddress;
  /** The shard's private key, in PEM, mode 0600. */
  readonly shardKeyFile: string;
  /** Where the node keeps what must outlive it and its database: the highest checkpoint that it has published. */
  readonly stateFolder: string;
  readonly queueLimits: QueueLimits;
  readonly batchVotesMax: number;
  readonly batchBytesMax: number;
  readonly commitLimitMs: number;
  readonly pulseMs: number;
  readonly spare: SpareTimes;
  readonly reconcileEveryMs: number;
  /** A drain: votes may settle for so long; then answers may leave. */
  readonly drainSettleMs: number;
  readonly drainGraceMs: number;
};

const mebibyte = 1024 * 1024;

export function readConfig(env: Readonly<Record<string, string | undefined>> = process.env): ShardNodeConfig {
  const read = new ConfigReader(env);
  return {
    name: read.text("URNA_NAME"),
    logLevel: read.text("URNA_LOG_LEVEL", "info"),
    shardId: read.integer("URNA_SHARD_ID", { min: 0, max: 16_383 }),
    mesh: readMeshConfig(read),
    grpcListen: formatHostPort(read.hostPort("URNA_GRPC_LISTEN")),
    metricsListen: formatHostPort(read.hostPort("URNA_METRICS_LISTEN")),
    address: { url: read.text("URNA_POSTGRES_URL"), standbyNames: filledList(read, "URNA_STANDBY_NAMES") },
    shardKeyFile: read.text("URNA_SHARD_KEY_FILE"),
    stateFolder: read.text("URNA_STATE_FOLDER"),
    queueLimits: {
      votesMax: read.integer("URNA_WAITING_VOTES_MAX", { min: 1, max: 10_000_000, fallback: 40_000 }),
      bytesMax: read.integer("URNA_WAITING_BYTES_MAX", { min: 1_024, max: 2 ** 31, fallback: 32 * mebibyte }),
      delay: {
        targetMs: read.integer("URNA_QUEUE_DELAY_MS", { min: 10, max: 60_000, fallback: 1_000 }),
        intervalMs: 500,
      },
    },
    batchVotesMax: read.integer("URNA_BATCH_VOTES_MAX", { min: 1, max: 100_000, fallback: 8_192 }),
    batchBytesMax: 8 * mebibyte,
    commitLimitMs: read.integer("URNA_COMMIT_LIMIT_MS", { min: 100, max: 600_000, fallback: 10_000 }),
    pulseMs,
    // A live writer commits every pulse; three missed ones are silence.
    spare: { silenceMs: 3 * pulseMs, lookEveryMs: 100 },
    reconcileEveryMs: 1_000,
    drainSettleMs: 6_000,
    drainGraceMs: 500,
  };
}

export type MigrationConfig = {
  readonly url: string;
  readonly deployment: string;
  readonly shardId: number;
  readonly shardCount: number;
  readonly slotRanges: readonly SlotRange[];
  /** Password of the service's role; unchanged when undefined. */
  readonly servicePassword: string | undefined;
};

export function readMigrationConfig(env: Readonly<Record<string, string | undefined>> = process.env): MigrationConfig {
  const read = new ConfigReader(env);
  return {
    url: read.text("URNA_MIGRATION_URL"),
    deployment: deploymentName(read.text("URNA_DEPLOYMENT", "urna")),
    shardId: read.integer("URNA_SHARD_ID", { min: 0, max: slotCount - 1 }),
    shardCount: read.integer("URNA_SHARD_COUNT", { min: 1, max: slotCount }),
    slotRanges: filledList(read, "URNA_SLOT_RANGES").map(parseRange),
    servicePassword: read.optional("URNA_SERVICE_PASSWORD"),
  };
}

/** It is in the name of the shard's key, where signed notes allow neither. */
function deploymentName(name: string): string {
  if (!/[\p{White_Space}+]/u.test(name)) return name;
  throw new ConfigError("URNA_DEPLOYMENT", `must have neither spaces nor plus signs, not "${name}"`);
}

function filledList(read: ConfigReader, variable: string): string[] {
  const entries = read.list(variable);
  if (entries.length === 0) throw new ConfigError(variable, "must hold at least one entry");
  return entries;
}

function parseRange(text: string): SlotRange {
  const [first, last] = /^(\d+)-(\d+)$/.exec(text)?.slice(1).map(Number) ?? [];
  if (first === undefined || last === undefined || first > last || last >= slotCount) {
    throw new ConfigError("URNA_SLOT_RANGES", `must hold ranges such as 0-${slotCount - 1}, not "${text}"`);
  }
  return [first, last];
}
