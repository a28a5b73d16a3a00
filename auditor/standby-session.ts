/** A session on a shard's standby. The primary is never asked: what is audited is what both servers hold. */
import pg from "pg";

/** Nobody answers, or who answers is no standby that an audit can use. The message says what to do. */
export class StandbyError extends Error {}

const connectLimitMs = 5_000;
/** The longest that one piece may take. */
const statementLimitMs = 60_000;

const settings = [
  `SET statement_timeout = ${statementLimitMs}`,
  "SET default_transaction_read_only = on",
  // Otherwise a scan may begin in the middle of a table, where another one is.
  "SET synchronize_seqscans = off",
];

/** Runs `work` with a session; throws StandbyError when there is none to be had. */
export async function withStandby<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectLimitMs,
    application_name: "urna-audit",
  });
  // A server that goes away fails the query as well; unheard, this event would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (cause) {
    throw new StandbyError(`${withoutPassword(url)} does not answer: ${(cause as Error).message}`);
  }
  try {
    await demandStandby(client, url);
    for (const setting of settings) await client.query(setting);
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

async function demandStandby(client: pg.Client, url: string): Promise<void> {
  const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
  if (rows[0]?.standby === true) return;
  throw new StandbyError(`${withoutPassword(url)} is no standby: an audit reads standbys only`);
}

export function withoutPassword(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? "the database" : `${parsed.hostname}:${parsed.port}${parsed.pathname}`;
}

/** Whether the standby has replayed all that it had received when it was asked first; undefined where it cannot tell. */
export type ReplayWatch = () => Promise<boolean | undefined>;

/** What the standby has received now is on its disk, and so is everything that has been acknowledged so far (I1). */
export async function watchReplay(client: pg.Client): Promise<ReplayWatch> {
  const { rows } = await client.query<{ lsn: string | null }>(
    `SELECT pg_last_wal_receive_lsn()::text AS lsn FROM pg_stat_wal_receiver WHERE status = 'streaming'`,
  );
  const lsn = rows[0]?.lsn ?? undefined;
  if (lsn === undefined) return async () => undefined;
  return async () => {
    const answer = await client.query<{ replayed: boolean }>(
      "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS replayed",
      [lsn],
    );
    return answer.rows[0]?.replayed === true;
  };
}
