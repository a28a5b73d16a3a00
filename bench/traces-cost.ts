/**
 * What traces cost: three clusters, alike but for the share of calls that are recorded (none, one of a hundred, all), are
 * given the same load in turns, and the CPU that their services spend on a vote is compared. Writes
 * bench/results/<date>-traces-cost.json and .md.
 *
 *   --turns N      (default 5)
 *   --seconds N    of each load (default 8)
 *   --name NAME    of the result (default traces-cost)
 *   --no-write     print only
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchConditions } from "#bench/bench-conditions.ts";
import { openElection } from "#bench/bench-election.ts";
import { measureCalls } from "#bench/call-cost.ts";
import { withSession } from "#bench/checker-shard.ts";
import { cpuByPart } from "#bench/cluster-cpu.ts";
import { runLoad } from "#bench/load-run.ts";
import { storedVotes } from "#bench/log-sizes.ts";
import { TraceCollector } from "#bench/trace-collector.ts";
import type { TracesMode, TracesRun } from "#bench/traces-cost-report.ts";
import { tracesCostMarkdown, tracesModes } from "#bench/traces-cost-report.ts";
import { BatchSender, UnarySender, type VoteSender } from "#bench/vote-senders.ts";
import { Workload } from "#bench/workload.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

const { values: options } = parseArgs({
  options: {
    turns: { type: "string", default: "5" },
    seconds: { type: "string", default: "8" },
    name: { type: "string", default: "traces-cost" },
    "no-write": { type: "boolean", default: false },
  },
});
const turns = wholeNumber("turns");
const seconds = wholeNumber("seconds");
const warmUpSeconds = 2;
const callTurns = 21;
const services = ["routers", "shard nodes", "tally"];

type Load = {
  readonly name: string;
  readonly votesPerSecond: number;
  sender(workload: Workload, routers: readonly string[]): VoteSender;
};

const loads: readonly Load[] = [
  {
    name: "CastVote, 400 votes/s",
    votesPerSecond: 400,
    sender: (workload, routers) => new UnarySender(workload, routers),
  },
  {
    name: "CastVoteBatch of 100, 5,000 votes/s",
    votesPerSecond: 5_000,
    sender: (workload, routers) => new BatchSender(workload, routers, 100),
  },
];

const calls = await measureCalls(callTurns);
await using collector = await TraceCollector.start({ keeps: false });
await using opened = new AsyncDisposableStack();
const clusters = new Map<TracesMode, EmbeddedCluster>();
for (const mode of tracesModes) clusters.set(mode, opened.use(await startCluster(mode)));

const runs: TracesRun[] = [];
for (let turn = 1; turn <= turns; turn++) {
  for (const load of loads) {
    // Another one goes first each time.
    for (let i = 0; i < tracesModes.length; i++) {
      const mode = tracesModes[(turn + i) % tracesModes.length] ?? "off";
      runs.push(await measure(turn, load, mode, clusters.get(mode)));
    }
  }
}

const conditions = await benchConditions(
  `npm run bench:traces -- ${process.argv.slice(2).join(" ")}`.trim(),
  await postgresVersion(),
);
const report = { schema_version: 1, name: options.name, conditions, runs, calls } as const;
console.log(tracesCostMarkdown(report));
if (!options["no-write"]) {
  const folder = join(import.meta.dirname, "results");
  const base = join(folder, `${conditions.date.slice(0, 10)}-${options.name}`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.md`, tracesCostMarkdown(report));
  console.error(`written: ${base}.json, ${base}.md`);
}

function startCluster(mode: TracesMode): Promise<EmbeddedCluster> {
  const traces = { URNA_TRACES_ENDPOINT: collector.endpoint, URNA_TRACES_RATIO: mode };
  return EmbeddedCluster.start({
    shards: 1,
    routers: 1,
    spares: 0,
    portBase: 0,
    sharedBuffersMb: 64,
    environment: () => (mode === "off" ? {} : traces),
  });
}

/** One load, in an election of its own, so that its voters are new. */
async function measure(turn: number, load: Load, mode: TracesMode, cluster?: EmbeddedCluster): Promise<TracesRun> {
  if (cluster === undefined) throw new Error(`there is no cluster with traces ${mode}`);
  const workload = new Workload(`turn-${turn}-${loads.indexOf(load)}`);
  await openElection(cluster, workload.definition);
  const routers = cluster.endpoints.routers.map(({ grpc }) => grpc);
  const sender = load.sender(workload, routers);
  const votesBefore = await storedVotes(routers);
  const before = cpuByPart(cluster);
  await runLoad(sender, { kind: "open", votesPerSecond: load.votesPerSecond, seconds, warmUpSeconds });
  const after = cpuByPart(cluster);
  const votes = (await storedVotes(routers)) - votesBefore;
  sender.close();
  const cpu = Object.fromEntries(
    [...after].map(([part, used]) => [part, round(((used - (before.get(part) ?? 0)) * 1e6) / votes)]),
  );
  const inAll = round(services.reduce((sum, part) => sum + (cpu[part] ?? 0), 0));
  console.error(`turn ${turn}, ${load.name}, traces ${mode}: ${votes} votes, ${inAll} µs of the services' CPU a vote`);
  return { turn, load: load.name, mode, votes, cpu_us_a_vote: cpu, cpu_us_a_vote_of_services: inAll };
}

async function postgresVersion(): Promise<string> {
  const url = clusters.get("off")?.ownerUrl(0) ?? "";
  return await withSession(
    url,
    async (client) =>
      (await client.query<{ server_version: string }>("SHOW server_version")).rows[0]?.server_version ?? "",
  );
}

function wholeNumber(option: "turns" | "seconds"): number {
  const value = Number(options[option]);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${option}: a whole number is needed, not "${options[option]}"`);
}

function round(n: number): number {
  return Math.round(n * 100) / 100;
}
