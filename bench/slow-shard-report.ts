/** What `npm run bench:shards` has measured, as a page. */
import type { BenchConditions } from "#bench/bench-conditions.ts";
import type { Stretch } from "#bench/shard-traffic.ts";

export type SlowShardRun = {
  /** Of shard 0. */
  readonly fault: "frozen" | "dead";
  readonly call: "CastVote" | "CastVoteBatch";
  readonly votesPerCall: number;
  /** Offered, over all shards. */
  readonly votesPerSecond: number;
  readonly before: Stretch;
  readonly during: Stretch;
  readonly after: Stretch;
  /** From the end of the fault to the first recorded vote. */
  readonly backAfterSeconds: number;
  /** Kept busy on the whole machine during the fault. */
  readonly machineCores: number | undefined;
};

export type SlowShardReport = {
  readonly schema_version: 1;
  readonly name: string;
  readonly conditions: BenchConditions;
  readonly runs: readonly SlowShardRun[];
};

/** Of their rate before, the other shards keep at least this. */
export const promisedShare = 0.95;

export function keptShare({ before, during }: SlowShardRun): number {
  return othersPerSecond(during) / othersPerSecond(before);
}

export function othersPerSecond({ recorded, seconds }: Stretch): number {
  const others = Object.entries(recorded).filter(([shard]) => shard !== "0");
  return others.reduce((sum, [, votes]) => sum + votes, 0) / seconds;
}

export function slowShardMarkdown({ name, conditions, runs }: SlowShardReport): string {
  const { date, command, commit, cpu, cores, memoryGiB, system, node, postgres } = conditions;
  return `# ${name}, ${date.slice(0, 10)}

\`${command}\` at commit ${commit}, ${date}.

${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; Node ${node}, Postgres ${postgres}. Everything on this one machine: load
generator, 2 routers, 4 shards, each with two nodes, a Postgres primary and a synchronous standby, \`fsync\` on. No TLS.

Votes of new voters for all four shards come at a fixed rate over one connection to each router, with a deadline of 10 s, and
nothing is sent again. Then shard 0 fails: *frozen*, its standby takes no more WAL, so that no commit ends; *dead*, both of its
nodes are killed and stay away. The stretch "during" begins with the fault.

| fault | call | offered/s | shards 1 to 3 before | during | kept | p50, p99 ms before | during | refusals: p50, p99 ms | calls under way at most | back after s |
|---|---|---|---|---|---|---|---|---|---|---|
${runs.map(row).join("\n")}

A stretch has ${Math.round(runs[0]?.during.seconds ?? 0)} s. Latencies count from the scheduled time of each call, for votes of shards 1 to 3. A
refusal's time is that of its whole call. "Back after": from the end of the fault to the first recorded vote of shard 0, with takeover.
What shard 0's votes were told during the fault:

${runs.map(refusals).join("\n")}
`;
}

function row(run: SlowShardRun): string {
  const { fault, call, votesPerCall, votesPerSecond, before, during, backAfterSeconds } = run;
  const cells = [
    fault,
    votesPerCall === 1 ? call : `${call} of ${votesPerCall}`,
    count(votesPerSecond),
    `${count(othersPerSecond(before))}/s`,
    `${count(othersPerSecond(during))}/s`,
    `**${(100 * keptShare(run)).toFixed(1)} %**`,
    latency(before),
    latency(during),
    `${during.refusedP50Ms.toFixed(1)}, ${count(during.refusedP99Ms)}`,
    count(during.callsMax),
    backAfterSeconds.toFixed(1),
  ];
  return `| ${cells.join(" | ")} |`;
}

function refusals({ fault, call, during, after, machineCores }: SlowShardRun): string {
  const told = (stretch: Stretch) =>
    Object.entries(stretch.refused)
      .map(([reason, votes]) => `${reason} ${count(votes)}`)
      .join(", ") || "none";
  const cores = machineCores === undefined ? "" : ` The machine had ${machineCores.toFixed(2)} cores busy.`;
  return `* ${fault}, ${call}: ${told(during)}; shard 0 recorded ${count(during.recorded["0"] ?? 0)}. Refused after it was back: ${told(after)}.${cores}`;
}

function latency({ p50Ms, p99Ms }: Stretch): string {
  return `${p50Ms.toFixed(1)}, ${p99Ms.toFixed(1)}`;
}

function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}
