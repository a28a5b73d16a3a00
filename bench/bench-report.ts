/** A bench's result as JSON, for programs, and as Markdown, for people. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BenchConditions } from "#bench/bench-conditions.ts";
import type { LoadFigures } from "#bench/load-run.ts";

/** One measurement, and what it ran on. */
export type Measurement = LoadFigures & {
  /** Votes stored over all shards. */
  readonly rowsBefore: number;
  readonly rowsAfter: number;
  /** Cores kept busy on the average, by part. Empty where the system does not tell. */
  readonly cores: Readonly<Record<string, number>>;
};

export type BenchReport = {
  readonly schema_version: 1;
  readonly name: string;
  readonly conditions: BenchConditions;
  readonly cluster: { readonly shards: number; readonly routers: number };
  readonly measurements: readonly Measurement[];
  /** Of the vote tables with their indexes, over all primaries, at the end. */
  readonly tableMiB: number;
};

/** Writes <folder>/<date>-<name>.json and .md; returns their paths. */
export async function writeReport(folder: string, report: BenchReport): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const base = join(folder, `${report.conditions.date.slice(0, 10)}-${report.name}`);
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.md`, markdown(report));
  return [`${base}.json`, `${base}.md`];
}

export function markdown({ name, conditions, cluster, measurements, tableMiB }: BenchReport): string {
  const { date, command, commit, cpu, cores, memoryGiB, system, node, postgres } = conditions;
  const rows = measurements.map(row);
  return `# ${name}, ${date.slice(0, 10)}

\`${command}\` at commit ${commit}, ${date}.

${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; Node ${node}, Postgres ${postgres}. Everything on this one machine: load
generator, ${cluster.routers} routers, ${cluster.shards} shards, each with a Postgres primary and a synchronous standby, \`fsync\` on. No TLS.

| call | load | votes/s | first, last quarter | p50 ms | p99 ms | max ms | refused, failed | rows before → after |
|---|---|---|---|---|---|---|---|---|
${rows.join("\n")}

Latency at a fixed rate counts from the scheduled time of each send. At the end the vote tables had ${tableMiB} MiB with their
indexes. Cores kept busy:

${measurements.map(coreLine).join("\n")}
`;
}

function row(m: Measurement): string {
  const { plan, votesPerSecond, firstQuarterPerSecond, lastQuarterPerSecond, p50Ms, p99Ms, maxMs } = m;
  const load =
    plan.kind === "closed"
      ? `closed loop, ${count(plan.outstanding)} calls, ${plan.seconds} s`
      : `fixed rate ${count(plan.votesPerSecond)}/s, ${plan.seconds} s`;
  const cells = [
    callName(m),
    load,
    `**${count(votesPerSecond)}**`,
    `${count(firstQuarterPerSecond)}, ${count(lastQuarterPerSecond)}`,
    p50Ms.toFixed(1),
    p99Ms.toFixed(1),
    maxMs.toFixed(0),
    `${count(m.refused)}, ${count(m.failed)}`,
    `${count(m.rowsBefore)} → ${count(m.rowsAfter)}`,
  ];
  return `| ${cells.join(" | ")} |`;
}

function callName({ method, votesPerSend }: Measurement): string {
  return votesPerSend === 1 ? method : `${method} of ${count(votesPerSend)}`;
}

function coreLine(m: Measurement): string {
  const parts = Object.entries(m.cores).map(([part, cores]) => `${part} ${cores.toFixed(2)}`);
  return `* ${callName(m)}, ${m.plan.kind} loop: ${parts.length === 0 ? "not known on this system" : parts.join(", ")}`;
}

function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}
