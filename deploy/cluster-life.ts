/** The order in which the parts of a cluster start and stop. */
import { readFile } from "node:fs/promises";
import type { ClusterParts } from "./cluster-parts.ts";
import { migrateShard, startPair, stopPair } from "./cluster-postgres.ts";
import { replaceJsonFile } from "./file-writing.ts";
import { isServing } from "./health-probe.ts";
import type { Supervisor } from "./supervisor.ts";
import { waitFor } from "./wait-for.ts";

const servingLimitMs = 60_000;
const servingPollMs = 50;
/** A process that ended this often soon after its start will not do better the next time. */
const hopelessEnds = 5;
const logLinesShown = 8;

/** Postgres pairs, migrations, then all services at once: they find one another. */
export async function bringUp(parts: ClusterParts, signal?: AbortSignal): Promise<void> {
  const { plan, folder, log, pairs, mesh } = parts;
  replaceJsonFile(folder.paths.directoryFile, plan.directory());
  log(`starting Postgres: ${pairs.length} × primary and synchronous standby`);
  const stores = pairs.map(async (supervised, shardId) => {
    await startPair(supervised);
    signal?.throwIfAborted();
    await migrateShard(plan.migration(shardId), parts.release.checkout);
    log(`shard ${shardId}: the standby streams and is synchronous`);
  });
  await all([...stores, mesh?.start()]);
  signal?.throwIfAborted();
  log(`starting ${parts.shardNodes.length} shard nodes, the tally and ${parts.routers.length} routers`);
  await all([...parts.shardNodes, parts.tally, ...parts.routers].map((supervisor) => supervisor.start()));
  parts.announcePostgres();
}

/** From the edge inwards, so that each part can settle what it has received; Postgres last. */
export async function takeDown(parts: ClusterParts): Promise<void> {
  await parts.mesh?.withdrawPostgres();
  await parts.tally.stop();
  await all(parts.routers.map((router) => router.stop()));
  await all(parts.shardNodes.map((node) => node.stop()));
  await all([...parts.pairs.map(stopPair), parts.mesh?.stop()]);
  await parts.plan.ports.releaseAll();
}

/** Resolves when every router, the tally and one node of each shard say that they serve. */
export async function untilServing(parts: ClusterParts, limitMs = servingLimitMs, signal?: AbortSignal): Promise<void> {
  const until = { limitMs, signal };
  const edges = [parts.tally, ...parts.routers].map((edge) => untilOneServes(parts, [edge], "", until));
  const shards = parts.pairs.map((_, shardId) => {
    const names = parts.plan.nodeNames(shardId);
    const nodes = parts.shardNodes.filter(({ name }) => names.includes(name));
    return untilOneServes(parts, nodes, "urna.v1.ShardService", until);
  });
  await all([...edges, ...shards]);
}

async function untilOneServes(
  { plan, identity }: ClusterParts,
  nodes: readonly Supervisor[],
  service: string,
  { limitMs, signal }: { readonly limitMs: number; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const what = `${nodes.map(({ name }) => name).join(" or ")} to serve`;
  const ask = async () => {
    signal?.throwIfAborted();
    const answers = await Promise.all(
      nodes.map(({ name }) => isServing(plan.ports.address(`${name}.grpc`), service, identity)),
    );
    if (answers.includes(true)) return true;
    if (nodes.every(({ quickEnds }) => quickEnds >= hopelessEnds)) throw new Error(`${what}: they end at every start`);
    return undefined;
  };
  await waitFor(what, limitMs, ask, servingPollMs).catch(async (error: unknown) => {
    signal?.throwIfAborted();
    const logs = await Promise.all(nodes.map(({ process }) => lastLines(process.logFile)));
    throw new Error(`${error instanceof Error ? error.message : error}\n${logs.join("\n")}`);
  });
}

async function lastLines(logFile: string): Promise<string> {
  const text = await readFile(logFile, "utf8").catch(() => "");
  return [`${logFile}:`, ...text.trimEnd().split("\n").slice(-logLinesShown)].join("\n  ");
}

/** Waits for all of them, then throws the first failure: nothing goes on in the background after a failure. */
async function all(tasks: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  const results = await Promise.allSettled(tasks);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
