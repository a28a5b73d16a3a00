/** What traces cost, in microseconds of CPU a vote, as a page. */
import { medianOf } from "#bench/audit-figures.ts";
import type { BenchConditions } from "#bench/bench-conditions.ts";

export type TracesMode = "off" | "0.01" | "1";
export const tracesModes: readonly TracesMode[] = ["off", "0.01", "1"];

/** One load against one cluster. */
export type TracesRun = {
  readonly turn: number;
  readonly load: string;
  readonly mode: TracesMode;
  readonly votes: number;
  /** By part of the cluster. */
  readonly cpu_us_a_vote: Readonly<Record<string, number>>;
  /** Of routers, shard nodes and tally together. */
  readonly cpu_us_a_vote_of_services: number;
};

export type CallMode = "no telemetry" | TracesMode;
export const callModes: readonly CallMode[] = ["no telemetry", ...tracesModes];

/** Microseconds of CPU of a unary call over loopback: client, server and collector in one process. */
export type CallCost = Readonly<Record<CallMode, number>>;

export type TracesCostReport = {
  readonly schema_version: 1;
  readonly name: string;
  readonly conditions: BenchConditions;
  /** In the order in which they ran. */
  readonly runs: readonly TracesRun[];
  /** Turn by turn. */
  readonly calls: readonly CallCost[];
};

export function tracesCostMarkdown({ name, conditions, runs, calls }: TracesCostReport): string {
  const { date, command, commit, cpu, cores, memoryGiB, system, node, postgres } = conditions;
  const loads = [...new Set(runs.map(({ load }) => load))];
  return `# ${name}, ${date.slice(0, 10)}

\`${command}\` at commit ${commit}, ${date}.

${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; Node ${node}, Postgres ${postgres}. Three clusters of one shard and one router, alike but for
URNA_TRACES_RATIO, were given the same load in turns, at a fixed rate that none of them has trouble with; the collector is in the load generator's
process. CPU of routers, shard nodes and tally, in µs a vote: medians of the turns; the ratio is the median of the turns' own ratios to "off".

| load | traces | routers | shard nodes | services in all | ratio to off |
|---|---|---|---|---|---|
${loads.flatMap((load) => tracesModes.map((mode) => row(runs, load, mode))).join("\n")}

A unary call alone, over loopback, client, server and collector in one process, in ${calls.length} short turns: medians of CPU, and of the turns' own
ratios to "off". "No telemetry" is a server that does not even count its calls.

| | µs CPU a call | ratio to off |
|---|---|---|
${callModes.map((mode) => callRow(calls, mode)).join("\n")}

Turn by turn, services in all:

| turn | load | off | 0.01 | 1 |
|---|---|---|---|---|
${turnRows(runs, loads).join("\n")}
`;
}

function row(runs: readonly TracesRun[], load: string, mode: TracesMode): string {
  const own = runs.filter((run) => run.load === load && run.mode === mode);
  const part = (name: string) => micros(medianOf(own.map(({ cpu_us_a_vote }) => cpu_us_a_vote[name] ?? 0)));
  const inAll = micros(medianOf(own.map((run) => run.cpu_us_a_vote_of_services)));
  const ratios = own.map((run) => run.cpu_us_a_vote_of_services / servicesOf(runs, run.turn, load, "off"));
  return `| ${load} | ${mode} | ${part("routers")} | ${part("shard nodes")} | ${inAll} | ${ratio(medianOf(ratios))} |`;
}

function callRow(calls: readonly CallCost[], mode: CallMode): string {
  const name = mode === "no telemetry" ? mode : `traces ${mode}`;
  const toOff = medianOf(calls.map((call) => call[mode] / call.off));
  return `| ${name} | ${micros(medianOf(calls.map((call) => call[mode])))} | ${ratio(toOff)} |`;
}

function turnRows(runs: readonly TracesRun[], loads: readonly string[]): string[] {
  const turns = [...new Set(runs.map(({ turn }) => turn))];
  return turns.flatMap((turn) =>
    loads.map((load) => {
      const cells = tracesModes.map((mode) => micros(servicesOf(runs, turn, load, mode)));
      return `| ${turn} | ${load} | ${cells.join(" | ")} |`;
    }),
  );
}

function servicesOf(runs: readonly TracesRun[], turn: number, load: string, mode: TracesMode): number {
  const run = runs.find((candidate) => candidate.turn === turn && candidate.load === load && candidate.mode === mode);
  return run?.cpu_us_a_vote_of_services ?? Number.NaN;
}

function micros(n: number): string {
  return n.toFixed(1);
}

function ratio(n: number): string {
  return n.toFixed(3);
}
