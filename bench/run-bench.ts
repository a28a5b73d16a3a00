/**
 * `npm run bench`: the rates of the three ways to cast votes, against a cluster of its own: as fast as they are
 * acknowledged, then at half that rate for an honest latency. Writes bench/results/<date>-<name>.json and .md.
 *
 *   --seconds N    of each measurement (default 15)
 *   --what LIST    of unary, stream, batch (default all, in this order)
 *   --shards N, --routers N
 *   --name NAME    of the result (default rates)
 *   --no-write     print only
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchConditions } from "#bench/bench-conditions.ts";
import { openElection } from "#bench/bench-election.ts";
import type { Measurement } from "#bench/bench-report.ts";
import { markdown, writeReport } from "#bench/bench-report.ts";
import { withSession } from "#bench/checker-shard.ts";
import { cpuByPart } from "#bench/cluster-cpu.ts";
import type { LoadPlan } from "#bench/load-run.ts";
import { runLoad } from "#bench/load-run.ts";
import { storedVotes } from "#bench/log-sizes.ts";
import type { VoteSender } from "#bench/vote-senders.ts";
import { BatchSender, StreamSender, UnarySender } from "#bench/vote-senders.ts";
import { Workload } from "#bench/workload.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

const warmUpSeconds = 3;

type Method = {
  readonly sender: (workload: Workload, routers: readonly string[]) => VoteSender;
  /** Sends under way in the closed loop. */
  readonly outstanding: number;
};

const methods: Readonly<Record<string, Method>> = {
  unary: { sender: (workload, routers) => new UnarySender(workload, routers), outstanding: 800 },
  stream: { sender: (workload, routers) => new StreamSender(workload, routers), outstanding: 4_000 },
  batch: { sender: (workload, routers) => new BatchSender(workload, routers), outstanding: 8 },
};

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "15" },
    what: { type: "string", default: Object.keys(methods).join(",") },
    shards: { type: "string", default: "2" },
    routers: { type: "string", default: "2" },
    name: { type: "string", default: "rates" },
    "no-write": { type: "boolean", default: false },
  },
});

await using cluster = await EmbeddedCluster.start({
  shards: Number(options.shards),
  routers: Number(options.routers),
  log: (line) => console.error(line),
});
const measurements: Measurement[] = [];
for (const what of options.what.split(",")) {
  const method = methods[what];
  if (method === undefined) throw new Error(`--what: there is no "${what}"; there are ${Object.keys(methods)}`);
  measurements.push(...(await measureMethod(what, method)));
}
const report = {
  schema_version: 1,
  name: options.name,
  conditions: await benchConditions(
    `npm run bench -- ${process.argv.slice(2).join(" ")}`.trim(),
    await postgresVersion(),
  ),
  cluster: { shards: cluster.shards, routers: cluster.endpoints.routers.length },
  measurements,
  tableMiB: await tableMiB(),
} as const;
console.log(markdown(report));
if (!options["no-write"]) {
  const paths = await writeReport(join(import.meta.dirname, "results"), report);
  console.error(`written: ${paths.join(", ")}`);
}

async function measureMethod(what: string, method: Method): Promise<Measurement[]> {
  const seconds = Number(options.seconds);
  const { outstanding } = method;
  const closed = await measure(`${what}-closed`, method, { kind: "closed", outstanding, seconds, warmUpSeconds });
  const votesPerSecond = Math.max(1, Math.round(closed.votesPerSecond / 2));
  const open = await measure(`${what}-open`, method, { kind: "open", votesPerSecond, seconds, warmUpSeconds });
  return [closed, open];
}

/** One measurement in an election of its own, so that its voters are new. */
async function measure(electionId: string, method: Method, plan: LoadPlan): Promise<Measurement> {
  const workload = new Workload(electionId);
  await openElection(cluster, workload.definition);
  const routers = cluster.endpoints.routers.map(({ grpc }) => grpc);
  const rowsBefore = await storedVotes(routers);
  const sender = method.sender(workload, routers);
  const startMs = performance.now();
  const cpuBefore = cpuByPart(cluster);
  try {
    const figures = await runLoad(sender, plan);
    const cores = coresOf(cpuBefore, cpuByPart(cluster), (performance.now() - startMs) / 1_000);
    console.error(`${electionId}: ${Math.round(figures.votesPerSecond)} votes/s, p99 ${figures.p99Ms.toFixed(1)} ms`);
    return { ...figures, rowsBefore, rowsAfter: await storedVotes(routers), cores };
  } finally {
    sender.close();
  }
}

function coresOf(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>, seconds: number) {
  return Object.fromEntries([...after].map(([part, used]) => [part, (used - (before.get(part) ?? 0)) / seconds]));
}

function primaryUrls(): string[] {
  return cluster.endpoints.shards.flatMap(({ postgres }) =>
    postgres
      .filter(({ role }) => role === "primary")
      .map(({ user, host, port, database }) => `postgres://${user}@${host}:${port}/${database}`),
  );
}

async function askPrimary(url: string, question: string): Promise<string> {
  return withSession(url, async (client) => String((await client.query<{ value: unknown }>(question)).rows[0]?.value));
}

function postgresVersion(): Promise<string> {
  return askPrimary(primaryUrls()[0] ?? "", "SELECT current_setting('server_version') AS value");
}

async function tableMiB(): Promise<number> {
  const question =
    "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) AS value FROM pg_inherits WHERE inhparent = 'urna.votes'::regclass";
  const sizes = await Promise.all(primaryUrls().map((url) => askPrimary(url, question)));
  return Math.round(sizes.reduce((sum, bytes) => sum + Number(bytes), 0) / 2 ** 20);
}
