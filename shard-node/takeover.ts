/**
 * Takeover: the only fence there is (design, cast path 7). One transaction that raises the writer epoch and commits
 * cleanly; after it no earlier connection can commit, this process's own included, and everything visible before it is
 * on the standby. Head, elections and batches are read only after it.
 */
import type pg from "pg";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { emptyRoot } from "#proto/ledger/merkle-hash.ts";
import type { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import { commitCleanly } from "./clean-commit.ts";
import { ElectionBook } from "./election-book.ts";
import {
  NotReadyError,
  type PostgresAddress,
  PostgresSession,
  type SessionLimits,
  writerApplicationName,
} from "./postgres-session.ts";
import { SlotOwnership } from "./slot-ownership.ts";
import { classifyFailure } from "./sqlstate.ts";
import { readTree } from "./tile-store.ts";

export type Head = {
  readonly deployment: string;
  readonly shardId: number;
  readonly shardCount: number;
  readonly writerEpoch: number;
  readonly batch: number;
  readonly mapEpoch: number;
  readonly treeSize: number;
  /** Milliseconds since 1970 of the newest batch; 0 before the first. */
  readonly stampMs: number;
  /** Of the log; see proto/log-origin.ts. */
  readonly generation: number;
  /** The process that took over last; empty before the first. */
  readonly writer: string;
  /** Of the last writer that has said it would write no more; 0: none ever. */
  readonly resignedEpoch: number;
};

/**
 * Where a spare saw the head: it takes over only from a writer that stands still. A writer that reconnects names nothing:
 * the head must still bear its own name, which no other process has.
 */
export type SeenHead = Pick<Head, "writerEpoch" | "batch">;

/** What stands on the standby too, and the one session that may write on from there. */
export type TakenOver = {
  readonly session: PostgresSession;
  readonly head: Head;
  readonly tree: TreeFrontier;
  readonly book: ElectionBook;
  readonly ownership: SlotOwnership;
};

/** Somebody else has taken over since the head was seen. */
export class DeposedError extends Error {
  /** Whether the batch whose outcome was unknown is stored for good. */
  readonly batchStored: boolean;

  constructor(batchStored = false) {
    super("another node has taken over this shard");
    this.name = "DeposedError";
    this.batchStored = batchStored;
  }
}

/** Who takes over: a name unique to this process, and SHA-256 of the public key that it signs with. */
export type WriterIdentity = { readonly name: string; readonly keyFingerprint: Buffer };

/**
 * Opens a session and takes over. Throws DeposedError when the head has moved, NotReadyError when Postgres does not keep what
 * the shard promises or its ledger does not hold together, and otherwise what the connection throws.
 */
export async function takeOver(
  address: PostgresAddress,
  writer: WriterIdentity,
  seen: SeenHead | undefined,
  limits: SessionLimits,
): Promise<TakenOver> {
  const session = await PostgresSession.open(address, "writer", limits);
  try {
    const epoch = await raiseEpoch(session, writer, seen);
    // An earlier writer's session that sleeps between its votes and its compare-and-set is fenced, but its unique keys
    // would block ours.
    await endHolders(session.client);
    const book = await ElectionBook.load(session.client);
    const ownership = await SlotOwnership.load(session.client);
    // Read last: while the head bears our epoch nobody has written since, so all that was read is on the standby. A later
    // writer may have shown what is not, and our fence says nothing about that.
    const head = await readHead(session.client);
    const tree = await readLedger(session.client, head);
    if ((await readHead(session.client)).writerEpoch !== epoch) throw new DeposedError();
    return { session, head, tree, book, ownership };
  } catch (error) {
    const failure = classifyFailure(error);
    if (failure.kind === "blocked") await endHolders(session.client).catch(() => undefined);
    session.destroy();
    if (failure.kind === "deposed") throw new DeposedError();
    throw error;
  }
}

/** The new epoch. */
async function raiseEpoch(
  session: PostgresSession,
  writer: WriterIdentity,
  seen: SeenHead | undefined,
): Promise<number> {
  session.takeNotices();
  await session.client.query("BEGIN");
  let epoch: number;
  try {
    const { rows } = await session.client.query<{ epoch: string }>("SELECT urna.take_over($1, $2, $3, $4) AS epoch", [
      writer.name,
      seen?.writerEpoch ?? null,
      seen?.batch ?? null,
      writer.keyFingerprint,
    ]);
    epoch = Number(rows[0]?.epoch);
  } catch (error) {
    await session.client.query("ROLLBACK");
    throw error;
  }
  const end = await commitCleanly(session);
  if (end.kind === "clean") return epoch;
  throw new Error(end.kind === "unclear" ? `the takeover is unclear: ${end.because}` : "the takeover was rolled back");
}

/**
 * The last act of a writer that has settled everything: a spare that looks takes over at once. Nobody waits for the standby:
 * it is no promise, and what is lost of it costs the silence that others wait for anyway. Never throws.
 */
export async function resign({ client }: PostgresSession, { writerEpoch }: Head): Promise<void> {
  const asked = client.query("SET synchronous_commit TO local");
  await Promise.all([asked, client.query("SELECT urna.resign($1)", [writerEpoch])]).catch(() => undefined);
}

/** Ends the other writer sessions that are in a transaction: they are fenced, or they hold the head and block for ever. */
async function endHolders(client: pg.Client): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()
       AND backend_xid IS NOT NULL`,
    [writerApplicationName],
  );
}

/** The tree as it is stored, if it folds to the root that the newest batch names (I8). */
async function readLedger(client: pg.Client, head: Head): Promise<TreeFrontier> {
  const { rows } = await client.query<{ root: Buffer }>("SELECT root FROM urna.batches WHERE number = $1", [
    head.batch,
  ]);
  const root = head.batch === 0 ? emptyRoot : rows[0]?.root;
  try {
    const tree = await readTree(client, head.treeSize);
    if (root?.equals(tree.root)) return tree;
  } catch (error) {
    if (!(error instanceof LedgerFormatError)) throw error;
    throw new NotReadyError(`the stored ledger is damaged: ${error.message}`);
  }
  throw new NotReadyError(
    `the stored ledger is damaged: its ${head.treeSize} leaves do not fold to the root of batch ${head.batch}`,
  );
}

type HeadRow = {
  readonly deployment: string;
  readonly shard_id: number;
  readonly shard_count: number;
  readonly writer_epoch: string;
  readonly batch_number: string;
  readonly map_epoch: string;
  readonly tree_size: string;
  readonly stamp_ms: string | null;
  readonly generation: number;
  readonly writer: string;
  readonly resigned_epoch: string;
};

/** The head as any session sees it. Not durable knowledge unless the session has just taken over. */
export async function readHead(client: pg.Client): Promise<Head> {
  const { rows } = await client.query<HeadRow>(
    `SELECT deployment, shard_id, shard_count, writer_epoch, batch_number, map_epoch, tree_size, generation, writer,
            resigned_epoch, CASE WHEN isfinite(stamp) THEN floor(extract(epoch FROM stamp) * 1000)::text END AS stamp_ms
     FROM urna.head`,
  );
  const row = rows[0];
  if (row === undefined) throw new Error("urna.head is empty: run the migration");
  return {
    deployment: row.deployment,
    shardId: row.shard_id,
    shardCount: row.shard_count,
    writerEpoch: Number(row.writer_epoch),
    batch: Number(row.batch_number),
    mapEpoch: Number(row.map_epoch),
    treeSize: Number(row.tree_size),
    stampMs: Number(row.stamp_ms ?? 0),
    generation: row.generation,
    writer: row.writer,
    resignedEpoch: Number(row.resigned_epoch),
  };
}
