/**
 * Running totals, stored now and then so that whoever reads the counts from the beginning is done soon. Summed in SQL from
 * batches that are durable and never change, so it does not matter when: beside the write path, not in a batch's own
 * transaction. There it stopped the shard for as long as the sum took (seconds after a busy hour), and for ever once the sum
 * took longer than a commit may.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#mesh/log.ts";
import type { CountFeed } from "./count-feed.ts";
import { type PostgresAddress, PostgresSession } from "./postgres-session.ts";

/** What a replay may have to sum up, about a second's work, and what it may have to step over in a quiet time. */
const deltasBetween = 500_000;
const batchesBetween = 50_000;
const lookEveryMs = 5_000;

/** Takes one snapshot at once and then whenever enough has come, until the signal aborts. Never throws. */
export async function keepSnapshots(
  feed: CountFeed,
  address: PostgresAddress,
  signal: AbortSignal,
  log: Logger,
): Promise<void> {
  let last = { deltas: Number.NEGATIVE_INFINITY, batch: Number.NEGATIVE_INFINITY };
  while (!signal.aborted) {
    const now = { deltas: feed.deltasPublished, batch: feed.durableBatch };
    if (now.deltas - last.deltas >= deltasBetween || now.batch - last.batch >= batchesBetween) {
      try {
        await takeSnapshot(address, now.batch, signal);
        last = now;
      } catch (error) {
        // Only a replay gets longer; the next look tries again.
        if (!signal.aborted) log.warn({ err: error }, "running totals were not stored");
      }
    }
    await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
  }
}

async function takeSnapshot(address: PostgresAddress, throughBatch: number, signal: AbortSignal): Promise<void> {
  const session = await PostgresSession.open(address, "snapshots", { signal });
  try {
    await session.client.query(
      `SELECT urna.take_count_snapshot($1)
       WHERE NOT EXISTS (SELECT FROM urna.count_snapshots WHERE through_batch >= $1)`,
      [throughBatch],
    );
  } finally {
    session.destroy();
  }
}
