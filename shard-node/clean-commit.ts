/**
 * COMMIT, and whether it may be believed (durability, hole 3). A failed transaction answers COMMIT with the tag ROLLBACK; a
 * cancelled wait for the standby answers with the tag COMMIT and a warning. And who empties synchronous_standby_names, or
 * lowers synchronous_commit, ends such waits with the tag COMMIT and no warning at all: so the settings and the standby
 * are looked at once more, in the same write, after the COMMIT.
 */
import type { PostgresSession } from "./postgres-session.ts";

export type CommitEnd =
  /** On both machines (I1). */
  | { readonly kind: "clean" }
  /** Nothing of it is stored, for certain. */
  | { readonly kind: "rolled-back" }
  /** It may be stored here and not on the standby, or nowhere: only a takeover can tell. */
  | { readonly kind: "unclear"; readonly because: string };

const standbyCheck = {
  name: "standby-check",
  text: `SELECT current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
                current_setting('full_page_writes') AS full_page_writes,
                EXISTS (SELECT FROM pg_stat_replication
                        WHERE application_name = ANY ($1) AND sync_state IN ('sync', 'quorum')) AS standby`,
};

type StandbyCheckRow = {
  readonly synchronous_commit: string;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly standby: boolean;
};

/** Commits the open transaction. Sends at once, behind what was sent before; throws when the connection is lost. */
export async function commitCleanly(session: PostgresSession): Promise<CommitEnd> {
  const committing = session.client.query("COMMIT");
  const checking = session.client.query<StandbyCheckRow>({ ...standbyCheck, values: [session.standbyNames] });
  checking.catch(() => undefined);
  const { command } = await committing;
  const notices = session.takeNotices();
  if (command === "ROLLBACK") return { kind: "rolled-back" };
  if (command !== "COMMIT") return unclear(`COMMIT was answered with ${command}`);
  if (notices.length > 0) return unclear(`COMMIT came with a notice: ${notices.join("; ")}`);
  const [check] = (await checking).rows;
  const lacking = check === undefined ? "the check had no answer" : whatIsLacking(check);
  return lacking === "" ? { kind: "clean" } : unclear(`after COMMIT ${lacking}`);
}

function unclear(because: string): CommitEnd {
  return { kind: "unclear", because };
}

function whatIsLacking(check: StandbyCheckRow): string {
  if (check.synchronous_commit !== "on" && check.synchronous_commit !== "remote_apply") {
    return `synchronous_commit is ${check.synchronous_commit}`;
  }
  if (check.fsync !== "on") return `fsync is ${check.fsync}`;
  if (check.full_page_writes !== "on") return `full_page_writes is ${check.full_page_writes}`;
  return check.standby ? "" : "no synchronous standby of a known name was connected";
}
