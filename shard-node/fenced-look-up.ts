/**
 * The last look of a writer that was deposed while a commit's outcome was unknown. It writes WAL and commits cleanly before
 * it answers, so that a batch it has found is on the standby too, and its receipts may be given (I1).
 */
import type { BatchIdentity } from "./batch.ts";
import { findBatch } from "./batch-commit.ts";
import { type PostgresAddress, PostgresSession } from "./postgres-session.ts";

/** True only when the batch is stored for good; false also when that could not be found out. */
export async function fencedLookUp(
  address: PostgresAddress,
  identity: BatchIdentity,
  limitMs: number,
): Promise<boolean> {
  let session: PostgresSession | undefined;
  let timer: NodeJS.Timeout | undefined;
  try {
    const opened = await PostgresSession.open(address, "writer");
    session = opened;
    timer = setTimeout(() => opened.destroy(), limitMs);
    const lost = new Promise<never>((_, reject) => opened.onLost(reject));
    return await Promise.race([lookUp(opened, identity), lost]);
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    session?.destroy();
  }
}

async function lookUp(session: PostgresSession, identity: BatchIdentity): Promise<boolean> {
  session.takeNotices();
  await session.client.query("BEGIN");
  const found = await findBatch(session.client, identity);
  await session.client.query("SELECT pg_logical_emit_message(true, 'urna', 'fence')");
  const { command } = await session.client.query("COMMIT");
  return found && command === "COMMIT" && session.takeNotices().length === 0;
}
