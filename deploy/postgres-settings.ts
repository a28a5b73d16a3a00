/** The configuration files of a shard's primary and standby (durability rules: I1). */
import { totalmem } from "node:os";

/** The loopback address that everything binds to until callers authenticate. */
export const loopback = "127.0.0.1";

export const databaseName = "urna";

/** Superuser: migrations, and the launcher itself. */
export const ownerRole = "urna_owner";
/** The shard node's role; the migration makes it. */
export const shardRole = "urna_shard";
export const replicationRole = "urna_replication";
/**
 * For people and checkers on this machine: reads everything and may cancel or end sessions, needs no password and can
 * change nothing.
 */
export const operatorRole = "urna_operator";

export type ServerSettings = { readonly port: number; readonly sharedBuffersMb: number };

export type Upstream = {
  readonly host: string;
  readonly port: number;
  readonly password: string;
  /** application_name and slot. */
  readonly standbyName: string;
};

/** The name by which a shard's standby is known; in synchronous_standby_names it stands quoted. */
export const standbyName = (shardId: number) => `shard_${shardId}_standby`;

/** A share of the machine for each of this many servers, so that they and the services fit in it together. */
export function sharedBuffersMbFor(servers: number): number {
  // In a container, less than the machine may be ours.
  const memory = Math.min(totalmem(), process.constrainedMemory() || totalmem());
  const shareMb = memory / 2 ** 20 / 8 / servers;
  return Math.round(Math.min(Math.max(shareMb, 128), 1024));
}

/** Both servers: what makes a commit durable, stated although most of it is the default. */
function serverLines({ port, sharedBuffersMb }: ServerSettings): string[] {
  return [
    `listen_addresses = '${loopback}'`,
    `port = ${port}`,
    "unix_socket_directories = ''",
    `shared_buffers = ${sharedBuffersMb}MB`,
    "fsync = on",
    "full_page_writes = on",
    "synchronous_commit = on",
    "wal_level = replica",
    "hot_standby = on",
    // Few checkpoints: the seconds after one cost a quarter of the rate in full-page images.
    "max_wal_size = 2GB",
    "min_wal_size = 512MB",
    "checkpoint_timeout = 15min",
    "checkpoint_completion_target = 0.9",
    // A standby that is away holds its WAL on the primary, up to here; beyond it the standby is copied anew.
    "max_slot_wal_keep_size = 4GB",
    // A peer that is frozen or cut off is given up after 5 s instead of a minute.
    "wal_sender_timeout = 5s",
    "wal_receiver_timeout = 5s",
    "wal_receiver_status_interval = 1s",
    "wal_retrieve_retry_interval = 500ms",
    "jit = off",
    "password_encryption = 'scram-sha-256'",
    "timezone = 'UTC'",
    "log_timezone = 'UTC'",
    "log_destination = 'stderr'",
    "logging_collector = off",
    "log_line_prefix = '%m [%p] %u %a '",
    "log_lock_waits = on",
    "log_min_duration_statement = 1s",
    // Parameters are ballots.
    "log_parameter_max_length = 0",
  ];
}

export function primaryConfiguration(settings: ServerSettings, standby: string): string {
  // The file names its standby: "*" would take any WAL receiver for one.
  return file([
    ...serverLines(settings),
    "max_connections = 40",
    `synchronous_standby_names = 'FIRST 1 ("${standby}")'`,
  ]);
}

export function standbyConfiguration(settings: ServerSettings, upstream: Upstream): string {
  const { host, port, password, standbyName: name } = upstream;
  const connection =
    `host=${host} port=${port} user=${replicationRole} password=${password} application_name=${name} ` +
    "connect_timeout=3 keepalives_idle=5 keepalives_interval=1 keepalives_count=3";
  return file([
    ...serverLines(settings),
    // A standby refuses fewer than its primary ever had, and the primary was initialised with the default.
    "max_connections = 100",
    `primary_conninfo = '${connection}'`,
    `primary_slot_name = '${name}'`,
    "recovery_target_timeline = 'latest'",
  ]);
}

export const accessRules = file([
  `host all ${operatorRole} ${loopback}/32 trust`,
  `host all all ${loopback}/32 scram-sha-256`,
  `host replication ${replicationRole} ${loopback}/32 scram-sha-256`,
]);

function file(lines: readonly string[]): string {
  return `# Written by Urna at every start; what you change here is lost. ALTER SYSTEM stays.\n${lines.join("\n")}\n`;
}
