/**
 * Brings a shard's database to the newest schema: the numbered files of migrations/, each once, forward only, under an
 * advisory lock. Run by whoever owns the database; the shard node itself has no right to change the schema.
 */
import { readdir, readFile } from "node:fs/promises";
import pg from "pg";
import { type MigrationConfig, readMigrationConfig } from "./config.ts";

const folder = new URL("./migrations/", import.meta.url);
/** Any fixed number: whoever migrates this database must hold it. */
const advisoryLock = 7_041_962;

/** The names of the files that were applied now. */
export async function migrate(config: MigrationConfig): Promise<string[]> {
  const client = new pg.Client({ connectionString: config.url, application_name: "urna-migration" });
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [advisoryLock]);
    await client.query("CREATE SCHEMA IF NOT EXISTS urna");
    await client.query(
      "CREATE TABLE IF NOT EXISTS urna.migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL)",
    );
    await createServiceRole(client, config.servicePassword);
    const applied = await applyFiles(client);
    await seed(client, config);
    return applied;
  } finally {
    await client.end();
  }
}

async function createServiceRole(client: pg.Client, password: string | undefined): Promise<void> {
  const { rowCount } = await client.query("SELECT FROM pg_roles WHERE rolname = 'urna_shard'");
  if (rowCount === 0) await client.query("CREATE ROLE urna_shard LOGIN");
  if (password !== undefined) await client.query(`ALTER ROLE urna_shard PASSWORD ${pg.escapeLiteral(password)}`);
}

async function applyFiles(client: pg.Client): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort();
  const { rows } = await client.query<{ name: string }>("SELECT name FROM urna.migrations");
  const present = new Set(rows.map(({ name }) => name));
  const missing = names.filter((name) => !present.has(name));
  for (const name of missing) {
    const sql = await readFile(new URL(name, folder), "utf8");
    await client.query("BEGIN");
    try {
      await client.query(sql);
      await client.query("INSERT INTO urna.migrations VALUES ($1, now())", [name]);
      await client.query("COMMIT");
    } catch (error) {
      await client.query("ROLLBACK");
      throw new Error(`migration ${name} failed: ${error instanceof Error ? error.message : error}`);
    }
  }
  return missing;
}

/** The head row and the slots of a new shard. An existing shard keeps its own, and refuses to become another one. */
async function seed(client: pg.Client, config: MigrationConfig): Promise<void> {
  await client.query("BEGIN");
  await client.query(
    "INSERT INTO urna.head (deployment, shard_id, shard_count) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    [config.deployment, config.shardId, config.shardCount],
  );
  const { rows } = await client.query<HeadRow>("SELECT deployment, shard_id, shard_count FROM urna.head");
  const row = rows[0];
  if (
    row === undefined ||
    row.deployment !== config.deployment ||
    row.shard_id !== config.shardId ||
    row.shard_count !== config.shardCount
  ) {
    await client.query("ROLLBACK");
    throw new Error(
      `this database is shard ${row?.shard_id} of ${row?.shard_count} of deployment "${row?.deployment}", not shard ` +
        `${config.shardId} of ${config.shardCount} of "${config.deployment}"; shards cannot be added to a deployment yet`,
    );
  }
  const slots = await client.query("SELECT FROM urna.slots LIMIT 1");
  if (slots.rowCount === 0) {
    for (const [first, last] of config.slotRanges) {
      await client.query("INSERT INTO urna.slots VALUES ($1, $2)", [first, last]);
    }
  }
  await client.query("COMMIT");
}

type HeadRow = { readonly deployment: string; readonly shard_id: number; readonly shard_count: number };

if (import.meta.main) {
  const applied = await migrate(readMigrationConfig());
  process.stdout.write(applied.length === 0 ? "the schema is current\n" : `applied ${applied.join(", ")}\n`);
}
