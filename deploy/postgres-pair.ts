/**
 * The Postgres of one shard: a primary and its synchronous standby (I1).
 *
 * Made once: initdb, a cold copy of the fresh directory as the standby, roles, the standby's slot; then a mark that both
 * are whole. Without the mark nothing can have been stored, and a start makes everything anew; with it, no directory
 * that may hold votes is ever made anew.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { PostgresServer } from "./postgres-server.ts";
import { withOwnerSession } from "./postgres-session.ts";
import {
  databaseName,
  operatorRole,
  primaryConfiguration,
  replicationRole,
  standbyConfiguration,
  standbyName,
} from "./postgres-settings.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";
import { waitFor } from "./wait-for.ts";

/** How long a standby may take to catch up and become synchronous. */
const syncLimitMs = 120_000;

export type PostgresPairOptions = {
  readonly shardId: number;
  /** The real path of the folder of all data directories; the Postgres user owns it. */
  readonly dataRoot: string;
  readonly logFolder: string;
  readonly binaries: PostgresBinaries;
  readonly user: UnprivilegedUser | undefined;
  readonly primaryPort: number;
  readonly standbyPort: number;
  readonly sharedBuffersMb: number;
  readonly ownerPassword: string;
  readonly replicationPassword: string;
  /** Where the standby finds the primary: asked for at every start, so that a test can put a proxy between. */
  readonly primaryAddress: () => Promise<{ host: string; port: number }>;
  readonly log: (line: string) => void;
};

export class PostgresPair {
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
  readonly standbyName: string;
  readonly #options: PostgresPairOptions;
  readonly #mark: string;

  constructor(options: PostgresPairOptions) {
    const { shardId, dataRoot, sharedBuffersMb } = options;
    this.#options = options;
    this.standbyName = standbyName(shardId);
    this.#mark = join(dataRoot, `shard-${shardId}-complete`);
    this.primary = this.#server(`shard-${shardId}-primary`, () =>
      primaryConfiguration({ port: options.primaryPort, sharedBuffersMb }, this.standbyName),
    );
    this.standby = this.#server(`shard-${shardId}-standby`, async () =>
      standbyConfiguration(
        { port: options.standbyPort, sharedBuffersMb },
        {
          ...(await options.primaryAddress()),
          password: options.replicationPassword,
          standbyName: this.standbyName,
        },
      ),
    );
  }

  /** Makes the data directories unless they are there. */
  async prepare(): Promise<void> {
    const { primary, standby } = this;
    if (!existsSync(this.#mark)) {
      for (const { dataFolder } of [primary, standby]) rmSync(dataFolder, { recursive: true, force: true });
      await primary.initialise(this.#options.ownerPassword);
    } else if (!existsSync(primary.dataFolder)) {
      throw new Error(`${primary.dataFolder} is missing, and it held votes: put it back, or promote ${standby.name}`);
    }
    if (!existsSync(standby.dataFolder)) await standby.copyAsStandby(primary);
  }

  /** What must be done between the start of the primary and that of the standby. */
  async furnishPrimary(): Promise<void> {
    if (existsSync(this.#mark)) return;
    await withOwnerSession({ ...this.#ownerTarget(), database: "postgres" }, async (client) => {
      // There is no standby yet that a commit could wait for; what is made here holds no votes.
      await client.query("SET synchronous_commit = local");
      for (const statement of this.#furnishing()) await client.query(statement);
    });
    await this.#createSlot();
  }

  /** Waits until the standby streams as the synchronous one, and checks that it flushes. */
  async untilSynchronous(): Promise<void> {
    const { name, logFile } = this.standby;
    await waitFor(`${name} to become the synchronous standby (see ${logFile})`, syncLimitMs, async () =>
      (await this.standbyState()) === "sync" ? true : undefined,
    );
    await this.#checkStandby();
    writeFileSync(this.#mark, "");
  }

  /** "sync", "async", …, as the primary sees it; empty when none is connected. */
  async standbyState(): Promise<string> {
    return withOwnerSession(this.#ownerTarget(), async (client) => {
      const { rows } = await client.query<{ sync_state: string }>(
        "SELECT sync_state FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'",
        [this.standbyName],
      );
      return rows[0]?.sync_state ?? "";
    });
  }

  /** Whether the primary has thrown away WAL that the standby still needs. Asked while the primary runs. */
  async hasLostStandby(): Promise<boolean> {
    return withOwnerSession(this.#ownerTarget(), async (client) => {
      const { rows } = await client.query<{ wal_status: string | null }>(
        "SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1",
        [this.standbyName],
      );
      return rows.length === 0 || rows[0]?.wal_status === "lost";
    });
  }

  /**
   * Makes the standby anew. The primary runs at the beginning and at the end; `stopPrimary` and `startPrimary` are the
   * supervisor's. Nothing acknowledged is at stake: the primary has all of it, and commits wait meanwhile.
   */
  async recopyStandby(stopPrimary: () => Promise<void>, startPrimary: () => Promise<void>): Promise<void> {
    this.#options.log(`${this.standby.name}: the primary no longer has the WAL that it needs; copying it anew`);
    await this.#createSlot();
    await stopPrimary();
    rmSync(this.standby.dataFolder, { recursive: true, force: true });
    await this.standby.copyAsStandby(this.primary);
    await startPrimary();
  }

  /** From here on the primary keeps the WAL that the standby needs. */
  async #createSlot(): Promise<void> {
    await withOwnerSession({ ...this.#ownerTarget(), database: "postgres" }, async (client) => {
      await client.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", [
        this.standbyName,
      ]);
      await client.query("SELECT pg_create_physical_replication_slot($1, true)", [this.standbyName]);
    });
  }

  async #checkStandby(): Promise<void> {
    // Not the database of the votes: the standby may not have replayed its creation yet.
    const target = { port: this.#options.standbyPort, password: this.#options.ownerPassword, database: "postgres" };
    await withOwnerSession(target, async (client) => {
      for (const setting of ["fsync", "full_page_writes", "data_checksums", "in_hot_standby"]) {
        const { rows } = await client.query<{ value: string }>("SELECT current_setting($1) AS value", [setting]);
        if (rows[0]?.value !== "on") throw new Error(`${this.standby.name}: ${setting} is ${rows[0]?.value}, not on`);
      }
    });
  }

  #furnishing(): string[] {
    const password = pg.escapeLiteral(this.#options.replicationPassword);
    return [
      `CREATE ROLE ${replicationRole} LOGIN REPLICATION PASSWORD ${password}`,
      `CREATE ROLE ${operatorRole} LOGIN CONNECTION LIMIT 8`,
      `GRANT pg_read_all_data, pg_monitor, pg_signal_backend TO ${operatorRole}`,
      `CREATE DATABASE ${databaseName}`,
    ];
  }

  #ownerTarget() {
    return { port: this.#options.primaryPort, password: this.#options.ownerPassword };
  }

  #server(name: string, configuration: () => string | Promise<string>): PostgresServer {
    const { dataRoot, logFolder, binaries, user } = this.#options;
    return new PostgresServer({
      name,
      dataFolder: join(dataRoot, name),
      logFile: join(logFolder, `${name}.log`),
      binaries,
      user,
      configuration,
    });
  }
}
