/**
 * One connection to the shard's primary, opened only when the server keeps what this shard promises: each setting that I1
 * stands on is read at every connect (design, cast path 10). A session that fails once is destroyed, never used again.
 * Every query has a limit on this side: nothing on the other side ends the wait for a server that is frozen or gone.
 */
import pg from "pg";

export type SessionPurpose = "writer" | "reader" | "monitor" | "snapshots";

/** The shard must not serve, and why: names the setting or the fault. */
export class NotReadyError extends Error {
  constructor(because: string) {
    super(because);
    this.name = "NotReadyError";
  }
}

export type PostgresAddress = { readonly url: string; readonly standbyNames: readonly string[] };

/** How sessions of the writer show in pg_stat_activity; a takeover ends the others (takeover.ts). */
export const writerApplicationName = "urna-writer";

const connectTimeoutMs = 3_000;

export type SessionLimits = {
  /** How long any one answer may take before the connection is given up. */
  readonly answerMs?: number;
  /** Breaks the connection when it aborts. */
  readonly signal?: AbortSignal;
};

const answerMs: Record<SessionPurpose, number> = {
  writer: 10_000,
  reader: 60_000,
  monitor: 3_000,
  snapshots: 600_000,
};

const sessionOptions: Record<SessionPurpose, string> = {
  // A plan made while a table was small must not become a sequential scan when it is large: look-ups are by key, always.
  writer:
    "-c lock_timeout=1000 -c idle_in_transaction_session_timeout=1000 -c tcp_user_timeout=5000 " +
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off",
  reader: "-c default_transaction_read_only=on -c tcp_user_timeout=5000 -c jit=off",
  monitor: "-c default_transaction_read_only=on -c statement_timeout=2000 -c tcp_user_timeout=5000",
  // What is stored here can be worked out again, so nobody waits for the standby.
  snapshots: "-c synchronous_commit=local -c work_mem=64MB -c tcp_user_timeout=5000 -c jit=off",
};

export class PostgresSession {
  readonly client: pg.Client;
  /** The application_names of the standbys that count. */
  readonly standbyNames: readonly string[];
  /** Notices since the last `takeNotices`: at COMMIT they mean that the wait for the standby was given up. */
  #notices: string[] = [];
  #lost = false;
  readonly #signal: AbortSignal | undefined;
  readonly #cut = () => this.destroy();

  private constructor(client: pg.Client, standbyNames: readonly string[], signal: AbortSignal | undefined) {
    this.client = client;
    this.standbyNames = standbyNames;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#cut, { once: true });
    client.on("notice", (notice) => this.#notices.push(notice.message ?? "notice"));
    client.on("error", () => this.#lose());
    client.on("end", () => this.#lose());
  }

  static async open(
    address: PostgresAddress,
    purpose: SessionPurpose,
    limits: SessionLimits = {},
  ): Promise<PostgresSession> {
    limits.signal?.throwIfAborted();
    const client = new pg.Client({
      connectionString: address.url,
      application_name: purpose === "writer" ? writerApplicationName : `urna-${purpose}`,
      connectionTimeoutMillis: connectTimeoutMs,
      keepAlive: true,
      options: sessionOptions[purpose],
      query_timeout: limits.answerMs ?? answerMs[purpose],
      // Also because only then a query that is out of time takes its connection with it.
      pipeline: true,
    });
    const session = new PostgresSession(client, address.standbyNames, limits.signal);
    try {
      await client.connect();
      if (purpose === "writer") await demandSafeSettings(client, address.standbyNames);
    } catch (error) {
      session.destroy();
      throw error;
    }
    return session;
  }

  get lost(): boolean {
    return this.#lost;
  }

  takeNotices(): string[] {
    const notices = this.#notices;
    this.#notices = [];
    return notices;
  }

  /**
   * Breaks the connection at once; what waits for an answer is rejected. The server may still execute what it was sent:
   * only a takeover fences that.
   */
  destroy(): void {
    this.#lose();
    const stream: unknown = Reflect.get(Reflect.get(this.client, "connection") ?? {}, "stream");
    if (stream !== null && typeof stream === "object" && "destroy" in stream && typeof stream.destroy === "function") {
      stream.destroy();
    }
  }

  #lose(): void {
    this.#lost = true;
    this.#signal?.removeEventListener("abort", this.#cut);
  }
}

type SettingsRow = {
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly synchronous_commit: string;
  readonly synchronous_standby_names: string;
  readonly data_checksums: string;
  readonly in_recovery: boolean;
};

/** Throws NotReadyError naming what is wrong. */
async function demandSafeSettings(client: pg.Client, standbyNames: readonly string[]): Promise<void> {
  const { rows } = await client.query<SettingsRow>(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
            current_setting('synchronous_commit') AS synchronous_commit,
            current_setting('synchronous_standby_names') AS synchronous_standby_names,
            current_setting('data_checksums') AS data_checksums, pg_is_in_recovery() AS in_recovery`,
  );
  const row = rows[0];
  if (row === undefined) throw new NotReadyError("Postgres did not answer with its settings");
  if (row.in_recovery) throw new NotReadyError("Postgres is in recovery: this is not the primary");
  for (const setting of ["fsync", "full_page_writes", "data_checksums"] as const) {
    if (row[setting] !== "on") throw new NotReadyError(`${setting} is ${row[setting]}, must be on`);
  }
  if (row.synchronous_commit !== "on" && row.synchronous_commit !== "remote_apply") {
    throw new NotReadyError(`synchronous_commit is ${row.synchronous_commit}, must be on`);
  }
  if (row.synchronous_standby_names === "") throw new NotReadyError("synchronous_standby_names is empty");
  const standby = await readStandby(client, standbyNames);
  if (standby.state !== "sync") {
    throw new NotReadyError(`no synchronous standby named ${standbyNames.join(" or ")} is connected`);
  }
}

export type StandbyState = {
  /** "sync", "async", … as Postgres shows it; empty when no standby of a known name is connected. */
  readonly state: string;
  readonly lagBytes: number;
};

type StandbyRow = { readonly state: string; readonly lag: string | null };

/** The best placed standby among those known by name: any other receiver of WAL is no standby (durability, hole 6). */
export async function readStandby(client: pg.Client, standbyNames: readonly string[]): Promise<StandbyState> {
  const { rows } = await client.query<StandbyRow>(
    `SELECT CASE WHEN sync_state = 'quorum' THEN 'sync' ELSE sync_state END AS state,
            pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::text AS lag
     FROM pg_stat_replication
     WHERE application_name = ANY ($1) AND state = 'streaming'
     ORDER BY sync_state IN ('sync', 'quorum') DESC LIMIT 1`,
    [standbyNames],
  );
  const row = rows[0];
  return row === undefined ? { state: "", lagBytes: 0 } : { state: row.state, lagBytes: Number(row.lag ?? 0) };
}
