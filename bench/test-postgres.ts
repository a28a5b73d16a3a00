/** One real Postgres of its own for a test: fresh, without a standby, on a free port. */
import { mkdtempSync } from "node:fs";
import { chown, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { findPostgres } from "#deploy/postgres-binaries.ts";
import { PostgresServer } from "#deploy/postgres-server.ts";
import { ownerUrl } from "#deploy/postgres-session.ts";
import { findPostgresUser } from "#deploy/unprivileged-user.ts";

const password = "test";

export type TestPostgres = {
  readonly host: string;
  readonly port: number;
  /** URL of the superuser in the database "postgres", on this port or a proxy's. */
  url(port?: number): string;
  /** Runs one query in a session of its own. */
  query(text: string): Promise<readonly Record<string, unknown>[]>;
  stop(): Promise<void>;
};

export async function startTestPostgres(version = 18): Promise<TestPostgres> {
  const user = findPostgresUser();
  const folder = mkdtempSync(join(tmpdir(), "urna-test-postgres-"));
  if (user !== undefined) await chown(folder, user.uid, user.gid);
  const port = await freePort();
  const lines = ["listen_addresses = '127.0.0.1'", `port = ${port}`, "unix_socket_directories = ''"];
  const server = new PostgresServer({
    name: "test-postgres",
    dataFolder: join(folder, "data"),
    logFile: join(folder, "log"),
    binaries: await findPostgres(version, user),
    user,
    configuration: () => `${lines.join("\n")}\n`,
  });
  await server.initialise(password);
  const running = await server.start();
  const url = (throughPort = port) => ownerUrl({ port: throughPort, password, database: "postgres" });
  return {
    host: "127.0.0.1",
    port,
    url,
    query: (text) => queryOnce(url(), text),
    stop: async () => {
      await server.stop(running);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function queryOnce(connectionString: string, text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
