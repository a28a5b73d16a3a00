/**
 * How the Postgres servers of a cluster stand, as operators read it in the registry. On this machine the launcher says it,
 * for it started them; elsewhere Patroni registers its own.
 */
import type pg from "pg";
import type { Announcement, Announcer, ServiceStatus } from "#mesh/announcer.ts";
import { grouped } from "#mesh/announcing.ts";
import { withOwnerSession } from "./postgres-session.ts";
import { loopback } from "./postgres-settings.ts";

const lookEveryMs = 2_000;

export type PostgresPlace = {
  readonly shardId: number;
  readonly role: "primary" | "standby";
  readonly name: string;
  readonly port: number;
  readonly version: number;
};

export class PostgresAnnouncing {
  readonly #announced: readonly { readonly place: PostgresPlace; readonly announcer: Announcer }[];
  readonly #ownerPassword: string;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  /** An announcer speaks for one server. */
  constructor(open: () => Announcer, places: readonly PostgresPlace[], ownerPassword: string) {
    this.#announced = places.map((place) => ({ place, announcer: open() }));
    this.#ownerPassword = ownerPassword;
  }

  start(): void {
    void this.#look();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#announced.map(({ announcer }) => announcer.withdraw()));
  }

  async #look(): Promise<void> {
    await Promise.all(
      this.#announced.map(async ({ place, announcer }) => {
        const status = await statusOf(place, this.#ownerPassword);
        if (!this.#stopped) announcer.announce(announcementOf(place), status);
      }),
    );
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#look(), lookEveryMs);
  }
}

function announcementOf({ shardId, role, name, port, version }: PostgresPlace): Announcement {
  const tags = [`shard-${shardId}`, role];
  return {
    service: "urna-postgres",
    id: name,
    host: loopback,
    port,
    tags,
    meta: { version: String(version), shard: String(shardId), role },
  };
}

async function statusOf({ shardId, role, port }: PostgresPlace, password: string): Promise<ServiceStatus> {
  const prefix = `shard ${shardId} ${role}`;
  try {
    return await withOwnerSession({ port, password, database: "postgres" }, async (client) => {
      const { level, line } = await (role === "primary" ? primaryStatus(client) : standbyStatus(client));
      return { level, line: `${prefix}: ${line}` };
    });
  } catch (error) {
    return {
      level: "critical",
      line: `${prefix}: does not answer (${error instanceof Error ? error.message : error})`,
    };
  }
}

async function primaryStatus(client: pg.Client): Promise<ServiceStatus> {
  const { rows } = await client.query<{
    recovering: boolean;
    sessions: string;
    synchronous: string | null;
    lag: string;
  }>(
    `SELECT pg_is_in_recovery() AS recovering,
            (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS sessions,
            (SELECT min(application_name) FROM pg_stat_replication WHERE sync_state = 'sync') AS synchronous,
            (SELECT coalesce(max(pg_wal_lsn_diff(sent_lsn, flush_lsn)), 0) FROM pg_stat_replication) AS lag`,
  );
  const seen = rows[0];
  if (seen === undefined || seen.recovering) return { level: "critical", line: "in recovery: it takes no votes" };
  const sessions = `${grouped(Number(seen.sessions))} sessions`;
  if (seen.synchronous === null) {
    return { level: "critical", line: `no synchronous standby: commits wait until one is back, ${sessions}` };
  }
  return {
    level: "passing",
    line: `synchronous standby ${seen.synchronous} ${grouped(Number(seen.lag))} B behind, ${sessions}`,
  };
}

async function standbyStatus(client: pg.Client): Promise<ServiceStatus> {
  const { rows } = await client.query<{ recovering: boolean; receiver: string | null; replay: string | null }>(
    `SELECT pg_is_in_recovery() AS recovering,
            (SELECT status FROM pg_stat_wal_receiver) AS receiver,
            pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS replay`,
  );
  const seen = rows[0];
  if (seen?.recovering !== true) return { level: "critical", line: "not in recovery: it is no standby" };
  if (seen.receiver !== "streaming") return { level: "critical", line: "receives no WAL from the primary" };
  return { level: "passing", line: `streaming, ${grouped(Number(seen.replay ?? 0))} B to replay` };
}
