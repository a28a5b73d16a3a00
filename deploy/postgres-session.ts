/** Short SQL sessions of the launcher. */
import pg from "pg";
import { databaseName, loopback, ownerRole } from "./postgres-settings.ts";

const connectLimitMs = 5_000;

export type SessionTarget = { readonly port: number; readonly password: string; readonly database?: string };

/** The owner's URL, for the migration and for tests that change things behind our back. */
export function ownerUrl({ port, password, database = databaseName }: SessionTarget): string {
  return `postgres://${ownerRole}:${password}@${loopback}:${port}/${database}`;
}

/** Runs `work` in a session of the superuser, and closes it. */
export async function withOwnerSession<T>(target: SessionTarget, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: ownerUrl(target),
    connectionTimeoutMillis: connectLimitMs,
    application_name: "urna-launcher",
  });
  // A server that goes away while we talk fails the query as well; unheard, this event would end the process.
  client.on("error", () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
