/**
 * One replay of the real election against a cluster of its own; prints one line of JSON: the rate, the latency, and the
 * microseconds of CPU that each part spent on a vote, which a busy machine changes far less than the rate. How busy it was
 * with other things is said, too.
 *
 *   --tls        every gRPC hop by mutual TLS; else plaintext
 *   --rate N     a part of the votes, so many a second; else all of them, as fast as they go
 *   --seconds N  how long at that rate (default 20)
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { withSession } from "#bench/checker-shard.ts";
import { cpuByPart } from "#bench/cluster-cpu.ts";
import { readElectionFile } from "#bench/election-file.ts";
import { machineCpuSeconds } from "#bench/process-cpu.ts";
import { replay } from "#bench/replay.ts";
import { TlsPapers } from "#bench/tls-papers.ts";
import { ensureElection } from "#deploy/demo-election.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

const { values: options } = parseArgs({
  options: {
    tls: { type: "boolean", default: false },
    rate: { type: "string" },
    seconds: { type: "string", default: "20" },
  },
});
const whole = await readElectionFile(join(import.meta.dirname, "data/nh-2020-president.csv"));
const ratePerSecond = options.rate === undefined ? undefined : Number(options.rate);
const file =
  ratePerSecond === undefined
    ? whole
    : whole.scaled(Math.min(1, (ratePerSecond * Number(options.seconds)) / whole.ballotCount));
await using papers = options.tls ? await TlsPapers.issue() : undefined;
const { identity } = papers ?? {};
await using cluster = await EmbeddedCluster.start({
  log: (line) => console.error(line),
  identity,
  environment: (name) => papers?.environment(name) ?? {},
});
const routers = cluster.endpoints.routers.map(({ grpc }) => grpc);
const never = new AbortController().signal;
await ensureElection({ routers, adminToken: cluster.adminToken(), identity }, file, never);

const startMs = performance.now();
const machineBefore = machineCpuSeconds();
const before = cpuByPart(cluster);
const report = await replay({ routers, file, identity, ...(ratePerSecond === undefined ? {} : { ratePerSecond }) });
const after = cpuByPart(cluster);
const machineAfter = machineCpuSeconds();
const seconds = (performance.now() - startMs) / 1_000;
if (report.recorded !== file.ballotCount) throw new Error(`${report.recorded} of ${file.ballotCount} were recorded`);

const postgres = await withSession(
  cluster.ownerUrl(0),
  async (client) => (await client.query<{ server_version: string }>("SHOW server_version")).rows[0]?.server_version,
);
const microsecondsAVote = (part: string) =>
  (((after.get(part) ?? 0) - (before.get(part) ?? 0)) * 1e6) / report.recorded;
const cpu = Object.fromEntries(
  [...after.keys()].map((part) => [part, Math.round(microsecondsAVote(part) * 100) / 100]),
);
const inAll = Object.values(cpu).reduce((sum, part) => sum + part, 0);
const ownSeconds = (inAll * report.recorded) / 1e6;
const otherCores =
  machineBefore === undefined || machineAfter === undefined
    ? undefined
    : (machineAfter - machineBefore - ownSeconds) / seconds;
console.log(
  JSON.stringify({
    votes: report.recorded,
    votes_per_second: Math.round(report.votesPerSecond),
    p50_ms: Math.round(report.p50Ms),
    p99_ms: Math.round(report.p99Ms),
    cpu_us_a_vote: cpu,
    cpu_us_a_vote_in_all: Math.round(inAll * 100) / 100,
    other_cores: otherCores === undefined ? undefined : Math.round(otherCores * 100) / 100,
    postgres,
  }),
);
