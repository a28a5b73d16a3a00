/** The standby's copy (A6, A8), and what a healed database must be free of (A9). */
import { setTimeout as delay } from "node:timers/promises";
import type { Findings } from "#bench/checker-findings.ts";
import { withSession } from "#bench/checker-shard.ts";

export type ShardDatabases = {
  readonly shardId: number;
  /** Any role that reads everything. */
  readonly primaryUrl: string;
  /** Undefined: the standby is not there to be looked at. */
  readonly standbyUrl: string | undefined;
};

/** How long the standby may take to replay what it has. */
const replayLimitMs = 20_000;
/** A transaction or a wait for a lock that is older was left behind. */
const leftBehindSeconds = 5;
const sessionsMax = 30;

const contentQuery = `
  SELECT (SELECT count(*)::text || ' rows, ' || coalesce(sum(hashtextextended(v::text, 0)), 0)::text
          FROM urna.votes v WHERE batch_number <= $1) AS votes,
         (SELECT count(*)::text || ' batches, ' || coalesce(sum(hashtextextended(b::text, 0)), 0)::text
          FROM urna.batches b WHERE number <= $1) AS batches`;

/** Rows and batches up to `batchNumber` are the same on both. */
export async function checkStandbyEquals(
  findings: Findings,
  { shardId, primaryUrl, standbyUrl }: ShardDatabases,
  batchNumber: number,
): Promise<void> {
  if (standbyUrl === undefined) return;
  const lsn = await askOne(primaryUrl, "SELECT pg_current_wal_flush_lsn()::text AS value");
  if (!(await untilReplayed(standbyUrl, lsn))) {
    findings.add("A8", `shard ${shardId}: the standby has not replayed ${lsn} within ${replayLimitMs} ms`);
    return;
  }
  const [primary, standby] = await Promise.all([
    readContent(primaryUrl, batchNumber),
    readContent(standbyUrl, batchNumber),
  ]);
  findings.demand(
    "A6",
    primary === standby,
    () => `shard ${shardId}: the primary has ${primary}; the standby ${standby}`,
  );
}

/** No transaction left open, nobody waiting for a lock, no prepared transaction, no heap of sessions. */
export async function checkNothingLeftBehind(
  findings: Findings,
  { shardId, primaryUrl }: ShardDatabases,
): Promise<void> {
  const limit = `interval '${leftBehindSeconds} s'`;
  const questions: Record<string, string> = {
    "transactions left open": `SELECT count(*) AS value FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND xact_start < now() - ${limit}`,
    "waits for a lock": `SELECT count(*) AS value FROM pg_stat_activity
      WHERE wait_event_type = 'Lock' AND query_start < now() - ${limit}`,
    "prepared transactions": "SELECT count(*) AS value FROM pg_prepared_xacts",
    "inactive slots": "SELECT count(*) AS value FROM pg_replication_slots WHERE NOT active",
    [`sessions over ${sessionsMax}`]: `SELECT greatest(0, count(*) - ${sessionsMax}) AS value FROM pg_stat_activity
      WHERE backend_type = 'client backend'`,
  };
  for (const [what, question] of Object.entries(questions)) {
    const n = Number(await askOne(primaryUrl, question));
    findings.demand("A9", n === 0, () => `shard ${shardId}: ${n} ${what}`);
  }
}

/**
 * A8 at the moment of an acknowledgement: what the standby has flushed now must hold the row. Resolves to whether it
 * does; call it as soon as the receipt is there.
 */
export async function isFlushedOnStandby(standbyUrl: string, logLeaf: number): Promise<boolean> {
  const flushed = await askOne(standbyUrl, "SELECT pg_last_wal_receive_lsn()::text AS value");
  if (!(await untilReplayed(standbyUrl, flushed))) return false;
  return (await askOne(standbyUrl, `SELECT count(*) AS value FROM urna.votes WHERE leaf_index = ${logLeaf}`)) === "1";
}

async function untilReplayed(standbyUrl: string, lsn: string): Promise<boolean> {
  const endMs = performance.now() + replayLimitMs;
  for (;;) {
    const replayed = await askOne(standbyUrl, `SELECT pg_last_wal_replay_lsn() >= '${lsn}'::pg_lsn AS value`).catch(
      () => "false",
    );
    if (replayed === "true") return true;
    if (performance.now() > endMs) return false;
    await delay(20);
  }
}

function readContent(url: string, batchNumber: number): Promise<string> {
  return withSession(url, async (client) => {
    const { rows } = await client.query<{ votes: string; batches: string }>(contentQuery, [batchNumber]);
    return `${rows[0]?.votes}, ${rows[0]?.batches}`;
  });
}

function askOne(url: string, question: string): Promise<string> {
  return withSession(url, async (client) => String((await client.query<{ value: unknown }>(question)).rows[0]?.value));
}
