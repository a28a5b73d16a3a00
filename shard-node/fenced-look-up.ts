/**
 * The last look of a writer that was deposed while a commit's outcome was unknown. It writes WAL and commits cleanly before
 * it answers, so that a batch it has found is on the standby too, and its receipts may be given (I1).
 */
import type { BatchIdentity } from "./batch.ts";
import { findBatch } from "./batch-commit.ts";
import { commitCleanly } from "./clean-commit.ts";
import { type PostgresAddress, PostgresSession, type SessionLimits } from "./postgres-session.ts";

/** True only when the batch is stored for good; false also when that could not be found out. */
export async function fencedLookUp(
  address: PostgresAddress,
  identity: BatchIdentity,
  limits: SessionLimits,
): Promise<boolean> {
  let session: PostgresSession | undefined;
  try {
    session = await PostgresSession.open(address, "writer", limits);
    return await lookUp(session, identity);
  } catch {
    return false;
  } finally {
    session?.destroy();
  }
}

async function lookUp(session: PostgresSession, identity: BatchIdentity): Promise<boolean> {
  session.takeNotices();
  await session.client.query("BEGIN");
  const found = await findBatch(session.client, identity);
  await session.client.query("SELECT pg_logical_emit_message(true, 'urna', 'fence')");
  return found && (await commitCleanly(session)).kind === "clean";
}
