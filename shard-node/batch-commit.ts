/**
 * The transaction of a batch: one pipelined write that ends in COMMIT (design, cast path 5). Anything that is not plainly a
 * success or plainly a failure is unknown, and only a takeover can tell (clean-commit).
 */
import type pg from "pg";
import type { BatchIdentity, SealedBatch } from "./batch.ts";
import { int4Array } from "./binary-array.ts";
import { commitCleanly } from "./clean-commit.ts";
import type { ControlStep } from "./control-steps.ts";
import type { PostgresSession } from "./postgres-session.ts";
import { classifyFailure, type PostgresFailure } from "./sqlstate.ts";
import { copyTiles } from "./tile-copy.ts";
import { copyVotes } from "./vote-copy.ts";

export type CommitResult =
  | { readonly kind: "committed" }
  /** Rolled back for certain. */
  | { readonly kind: "refused"; readonly failure: PostgresFailure }
  | { readonly kind: "unknown"; readonly because: string };

type Statement = { readonly name?: string; readonly text: string; readonly values: unknown[] };

/** Commits the batch. The session gives up when no answer comes in time: nothing else ends such a wait. */
export async function commitBatch(session: PostgresSession, batch: SealedBatch): Promise<CommitResult> {
  try {
    return await runTransaction(session, batch);
  } catch (error) {
    return { kind: "unknown", because: error instanceof Error ? error.message : String(error) };
  }
}

async function runTransaction(session: PostgresSession, batch: SealedBatch): Promise<CommitResult> {
  const { client } = session;
  session.takeNotices();
  // Waited for: behind a BEGIN that failed (a cancel request can hit it) each statement would be a transaction of its own.
  await client.query("BEGIN");
  const copies = batch.newVotes.map((votes) => copyVotes(client, votes, batch));
  if (batch.ledger.tiles.length > 0) copies.push(copyTiles(client, batch.ledger.tiles));
  const answers = Promise.allSettled([...copies, ...statementsOf(batch).map((statement) => client.query(statement))]);
  const end = await commitCleanly(session);
  switch (end.kind) {
    case "clean":
      return { kind: "committed" };
    case "unclear":
      return { kind: "unknown", because: end.because };
    case "rolled-back": {
      const failed = (await answers).find((answer) => answer.status === "rejected");
      return { kind: "refused", failure: classifyFailure(failed?.reason) };
    }
  }
}

/** What follows the votes, in this order; behind the head's compare-and-set, which decides (I6), comes only what leans on it. */
function statementsOf(batch: SealedBatch): Statement[] {
  const { identity } = batch;
  const isLast = ({ afterHead = false }: ControlStep) => afterHead;
  const stepStatement = ({ text, values, needsBatch }: ControlStep): Statement => {
    return { text, values: [...values, ...(needsBatch ? [identity.number] : [])] };
  };
  const statements = batch.control.filter((step) => !isLast(step)).map(stepStatement);
  statements.push(insertBatch(batch));
  statements.push({
    name: "advance-head",
    text: "SELECT urna.advance_head($1, $2, $3, $4, $5, $6)",
    values: [
      identity.writerEpoch,
      identity.number,
      batch.mapEpoch,
      batch.treeSizeBefore,
      batch.newVoteCount,
      new Date(batch.stampMs),
    ],
  });
  statements.push(...batch.control.filter(isLast).map(stepStatement));
  return statements;
}

function insertBatch(batch: SealedBatch): Statement {
  const { identity, deltas, ledger } = batch;
  const audit = batch.control.map((step) => step.audit);
  return {
    name: "insert-batch",
    text: `INSERT INTO urna.batches (number, batch_id, writer_epoch, stamp, votes, tree_size, control,
                                     count_election, count_region, count_cell, count_n,
                                     root, leaf_nullifiers, tail_hashes)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
    values: [
      identity.number,
      uuidText(identity.batchId),
      identity.writerEpoch,
      new Date(batch.stampMs),
      batch.newVoteCount,
      batch.treeSizeBefore + batch.newVoteCount,
      audit.length === 0 ? null : JSON.stringify(audit),
      int4Array(deltas.elections),
      int4Array(deltas.regions),
      int4Array(deltas.cells),
      int4Array(deltas.n),
      ledger.root,
      ledger.leafNullifiers,
      ledger.tailHashes,
    ],
  };
}

/** Whether this very batch is in the log: by number, epoch and id together (design, cast path 6 and 8). */
export async function findBatch(client: pg.Client, identity: BatchIdentity): Promise<boolean> {
  const { rowCount } = await client.query(
    "SELECT FROM urna.batches WHERE number = $1 AND writer_epoch = $2 AND batch_id = $3",
    [identity.number, identity.writerEpoch, uuidText(identity.batchId)],
  );
  return rowCount === 1;
}

function uuidText(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("hex");
}
