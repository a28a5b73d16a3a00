/**
 * `npm run bench:shards`: what one shard of four does to votes for the other three when it dies (both of its nodes are
 * stopped) or stands still (its standby takes no more WAL, so that no commit ends). Votes of unknown voters for all shards
 * come at a fixed rate, from before the fault until after it; nothing is sent again. The stretch with the fault begins with
 * the fault itself. Writes bench/results/<date>-slow-shard.json and .md, and ends with exit code 1 when the other three lose
 * more than was promised.
 *
 *   --seconds N    of each stretch (default 15)
 *   --unary N      votes a second in unary calls (default 600)
 *   --batch N      votes a second in batches of 200 (default 4000)
 *   --name NAME    of the result (default slow-shard)
 *   --no-write     print only
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchConditions } from "#bench/bench-conditions.ts";
import { withSession } from "#bench/checker-shard.ts";
import { Story } from "#bench/cluster-story.ts";
import { machineCpuSeconds } from "#bench/process-cpu.ts";
import { ShardTraffic } from "#bench/shard-traffic.ts";
import type { SlowShardRun } from "#bench/slow-shard-report.ts";
import { keptShare, promisedShare, slowShardMarkdown } from "#bench/slow-shard-report.ts";
import { Workload } from "#bench/workload.ts";
import { waitFor } from "#deploy/wait-for.ts";

const shards = 4;
const slow = 0;
const batchVotes = 200;
const warmUpSeconds = 4;
const warmUpLimitMs = 60_000;
/** Of what is offered: below it there is still a backlog. */
const steadyShare = 0.97;
const healLimitMs = 60_000;

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "15" },
    unary: { type: "string", default: "600" },
    batch: { type: "string", default: "4000" },
    name: { type: "string", default: "slow-shard" },
    "no-write": { type: "boolean", default: false },
  },
});

type Fault = SlowShardRun["fault"];
type Heal = () => Promise<void> | void;

const faults: Readonly<Record<Fault, (story: Story) => Promise<Heal>>> = {
  frozen: (story) => story.freezeStandby(slow),
  dead: async ({ cluster }) => {
    const nodes = cluster.processNames().filter((name) => /^shard-0-[a-z]$/.test(name));
    await Promise.all(nodes.map((name) => cluster.kill(name)));
    await Promise.all(nodes.map((name) => cluster.stopProcess(name)));
    return async () => {
      await Promise.all(nodes.map((name) => cluster.startProcess(name)));
    };
  },
};

const runs: SlowShardRun[] = [];
await using story = await Story.start({ shards, routers: 2, log: (line) => console.error(line) });
for (const fault of ["frozen", "dead"] as const) {
  for (const [call, votesPerCall, votesPerSecond] of [
    ["CastVote", 1, Number(options.unary)],
    ["CastVoteBatch", batchVotes, Number(options.batch)],
  ] as const) {
    runs.push(await measure(fault, call, votesPerCall, votesPerSecond));
  }
}
const postgres = await withSession(
  story.cluster.ownerUrl(slow),
  async (client) => (await client.query<{ server_version: string }>("SHOW server_version")).rows[0]?.server_version,
);
const command = `npm run bench:shards -- ${process.argv.slice(2).join(" ")}`.trim();
const report = {
  schema_version: 1,
  name: options.name,
  conditions: await benchConditions(command, postgres ?? ""),
  runs,
} as const;
console.log(slowShardMarkdown(report));
if (!options["no-write"]) {
  const folder = join(import.meta.dirname, "results");
  const base = join(folder, `${report.conditions.date.slice(0, 10)}-${options.name}`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.md`, slowShardMarkdown(report));
  console.error(`written: ${base}.json, ${base}.md`);
}
if (runs.some((run) => keptShare(run) < promisedShare)) process.exitCode = 1;

/** An election of its own, so that its voters are new. */
async function measure(
  fault: Fault,
  call: SlowShardRun["call"],
  votesPerCall: number,
  votesPerSecond: number,
): Promise<SlowShardRun> {
  const seconds = Number(options.seconds);
  const workload = new Workload(`${fault}-${votesPerCall}`);
  const { electionId } = workload.definition;
  await story.electionsAt(0).createElection({ definition: workload.definition }, story.admin);
  await story.electionsAt(0).openElection({ electionId }, story.admin);
  const traffic = new ShardTraffic({
    routers: story.routers,
    workload,
    votesPerCall,
    votesPerSecond,
    deadlineMs: 10_000,
  });
  try {
    await waitFor("votes to be recorded as fast as they come", warmUpLimitMs, async () => {
      const { offered, recorded } = await traffic.stretch(warmUpSeconds);
      return Object.values(recorded).reduce((sum, votes) => sum + votes, 0) > steadyShare * offered ? true : undefined;
    });
    const before = await traffic.stretch(seconds, String(slow));
    const machineBefore = machineCpuSeconds();
    const striking = faults[fault](story);
    const during = await traffic.stretch(seconds, String(slow));
    const machineCores = coresSince(machineBefore, during.seconds);
    const heal = await striking;
    const healedAtMs = performance.now();
    await heal();
    await waitFor("the shard to record votes again", healLimitMs, async () => {
      const { recorded } = await traffic.stretch(0.25);
      return (recorded[String(slow)] ?? 0) > 0 ? true : undefined;
    });
    const backAfterSeconds = (performance.now() - healedAtMs) / 1_000;
    await story.healed();
    const after = await traffic.stretch(seconds, String(slow));
    const run = { fault, call, votesPerCall, votesPerSecond, before, during, after, backAfterSeconds, machineCores };
    console.error(`${fault}, ${call}: the others keep ${(100 * keptShare(run)).toFixed(1)} % of their rate`);
    return run;
  } finally {
    await traffic.stop();
  }
}

function coresSince(before: number | undefined, seconds: number): number | undefined {
  const now = machineCpuSeconds();
  return before === undefined || now === undefined ? undefined : (now - before) / seconds;
}
