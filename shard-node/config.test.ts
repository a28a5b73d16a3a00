import { expect, test } from "vitest";
import { readConfig, readMigrationConfig } from "./config.ts";

const node = {
  URNA_NAME: "shard-0-a",
  URNA_SHARD_ID: "0",
  URNA_DIRECTORY_FILE: "/run/directory.json",
  URNA_GRPC_LISTEN: "127.0.0.1:7000",
  URNA_METRICS_LISTEN: "127.0.0.1:7001",
  URNA_POSTGRES_URL: "postgres://urna_shard@127.0.0.1:5432/urna",
  URNA_STANDBY_NAMES: "shard_0_standby, shard_0_second",
  URNA_SHARD_KEY_FILE: "/run/secrets/shard-0-key.pem",
  URNA_STATE_FOLDER: "/var/lib/urna/shard-0-a",
};

const migration = {
  URNA_MIGRATION_URL: "postgres://owner@127.0.0.1:5432/urna",
  URNA_SHARD_ID: "1",
  URNA_SHARD_COUNT: "2",
  URNA_SLOT_RANGES: "8192-12287,12288-16383",
};

test("a shard node is told who it is, where Postgres is, and which standbys count", () => {
  const config = readConfig(node);
  expect(config).toMatchObject({ name: "shard-0-a", shardId: 0, grpcListen: "127.0.0.1:7000" });
  expect(config.address.standbyNames).toEqual(["shard_0_standby", "shard_0_second"]);
});

test("a spare waits for three missed pulses, and a batch fits into what may wait (I9)", () => {
  const { spare, pulseMs, batchVotesMax, batchBytesMax, queueLimits } = readConfig(node);
  expect(spare.silenceMs).toBe(3 * pulseMs);
  expect(spare.lookEveryMs).toBeLessThan(pulseMs);
  expect(batchVotesMax).toBeLessThanOrEqual(queueLimits.votesMax);
  expect(batchBytesMax).toBeLessThanOrEqual(queueLimits.bytesMax);
});

test("a migration is told which slots a new shard owns", () => {
  expect(readMigrationConfig(migration)).toMatchObject({
    shardId: 1,
    shardCount: 2,
    deployment: "urna",
    slotRanges: [
      [8192, 12287],
      [12288, 16383],
    ],
  });
});

for (const [variable, value] of [
  ["URNA_NAME", ""],
  ["URNA_SHARD_ID", "-1"],
  ["URNA_SHARD_ID", "one"],
  ["URNA_SHARD_ID", "16384"],
  ["URNA_DIRECTORY_FILE", ""],
  ["URNA_GRPC_LISTEN", "7000"],
  ["URNA_METRICS_LISTEN", "127.0.0.1"],
  ["URNA_POSTGRES_URL", ""],
  ["URNA_STANDBY_NAMES", " , "],
  ["URNA_WAITING_VOTES_MAX", "0"],
  ["URNA_WAITING_BYTES_MAX", "1e9"],
  ["URNA_BATCH_VOTES_MAX", "100001"],
  ["URNA_COMMIT_LIMIT_MS", "99"],
] as const) {
  test(`${variable}="${value}" is refused by name`, () => {
    expect(() => readConfig({ ...node, [variable]: value })).toThrow(variable);
  });
}

for (const [variable, value] of [
  ["URNA_MIGRATION_URL", ""],
  ["URNA_DEPLOYMENT", "my urna"],
  ["URNA_DEPLOYMENT", "a+b"],
  ["URNA_SHARD_COUNT", "0"],
  ["URNA_SLOT_RANGES", ""],
  ["URNA_SLOT_RANGES", "0-16384"],
  ["URNA_SLOT_RANGES", "9-3"],
  ["URNA_SLOT_RANGES", "0..9"],
] as const) {
  test(`${variable}="${value}" is refused by name in a migration`, () => {
    expect(() => readMigrationConfig({ ...migration, [variable]: value })).toThrow(variable);
  });
}
