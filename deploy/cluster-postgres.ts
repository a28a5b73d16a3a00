/** The Postgres pairs of a cluster, supervised, and the migrations. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Environment } from "./cluster-plan.ts";
import { inheritedEnvironment } from "./config.ts";
import { checkoutRoot, nodeFlags, nodeOf } from "./own-node.ts";
import type { PostgresPair } from "./postgres-pair.ts";
import type { Supervisor } from "./supervisor.ts";

const run = promisify(execFile);
const migrationLimitMs = 60_000;

export type SupervisedPair = {
  readonly pair: PostgresPair;
  readonly primary: Supervisor;
  readonly standby: Supervisor;
};

/** Brings a pair up from whatever is there: nothing, a clean stop, a crash. Resolves when the standby is synchronous. */
export async function startPair({ pair, primary, standby }: SupervisedPair): Promise<void> {
  await pair.prepare();
  await primary.start();
  await pair.furnishPrimary();
  if (await pair.hasLostStandby()) {
    await pair.recopyStandby(
      () => primary.stop(),
      () => primary.start(),
    );
  }
  await standby.start();
  await pair.untilSynchronous();
}

/** The standby last: the primary's last WAL must reach it. */
export async function stopPair({ primary, standby }: SupervisedPair): Promise<void> {
  await primary.stop();
  await standby.stop();
}

/** Brings a shard's database to the schema of this checkout. */
export async function migrateShard(environment: Environment, checkout = checkoutRoot): Promise<void> {
  try {
    await run(nodeOf(checkout), [...nodeFlags, "shard-node/migrate.ts"], {
      cwd: checkout,
      env: { ...inheritedEnvironment, ...environment },
      timeout: migrationLimitMs,
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(
      `the migration of shard ${environment["URNA_SHARD_ID"]} failed:\n${stdout ?? ""}${stderr ?? error}`,
    );
  }
}
