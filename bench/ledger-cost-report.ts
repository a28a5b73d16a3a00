/** Replays with the ledger and without, compared. */
import type { BenchConditions } from "#bench/bench-conditions.ts";
import type { ReplayFigures } from "#bench/replay-run.ts";

/** Replays that ran one after the other. */
export type LedgerPair = { readonly on: ReplayFigures; readonly off: ReplayFigures };

type Side = {
  readonly votes_per_second: number;
  readonly p99_ms: number;
  readonly cpu_us_a_vote: Readonly<Record<string, number>>;
  readonly cpu_us_a_vote_in_all: number;
};

export type LedgerComparison = {
  /** In the order in which they ran. */
  readonly runs: readonly LedgerPair[];
  /** Replays that were made again because the machine was busy with other things. */
  readonly set_aside: number;
  /** Medians, figure by figure. */
  readonly on: Side;
  readonly off: Side;
  /** Median of the pairs' ratios: the rate with the ledger over the rate without. */
  readonly rate_kept: number;
  /** The same of CPU a vote: what the machine itself would keep of its rate, were CPU all that it lacks. */
  readonly rate_kept_by_cpu: number;
};

export type LedgerCostReport = LedgerComparison & {
  readonly schema_version: 1;
  readonly name: string;
  readonly conditions: BenchConditions;
};

/** Of the rate without ledger, what was promised to be kept. */
const promisedShare = 0.85;

/** More cores than these, busy with other things, disturb a replay; the kernel's own work takes 0.1 to 0.2. */
const otherCoresMax = 0.3;

export function othersOf({ other_cores = 0 }: ReplayFigures): number {
  return other_cores;
}

export function isDisturbed(replay: ReplayFigures): boolean {
  return othersOf(replay) > otherCoresMax;
}

export function compareLedger(runs: readonly LedgerPair[], setAside: number): LedgerComparison {
  const kept = (ratio: (pair: LedgerPair) => number) => round(median(runs.map(ratio)), 3);
  return {
    runs,
    set_aside: setAside,
    on: mediansOf(runs.map(({ on }) => on)),
    off: mediansOf(runs.map(({ off }) => off)),
    rate_kept: kept(({ on, off }) => on.votes_per_second / off.votes_per_second),
    rate_kept_by_cpu: kept(({ on, off }) => off.cpu_us_a_vote_in_all / on.cpu_us_a_vote_in_all),
  };
}

export function isKept({ rate_kept }: LedgerComparison): boolean {
  return rate_kept >= promisedShare;
}

export function ledgerCostMarkdown(report: LedgerCostReport): string {
  const { name, conditions, runs, set_aside, on, off } = report;
  const { date, command, commit, cpu, cores, memoryGiB, system, node, postgres } = conditions;
  const parts = Object.keys(on.cpu_us_a_vote);
  const partRows = parts.map((part) => row(part, on.cpu_us_a_vote[part] ?? 0, off.cpu_us_a_vote[part] ?? 0, micros));
  return `# ${name}, ${date.slice(0, 10)}

\`${command}\` at commit ${commit}, ${date}.

${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; Node ${node}, Postgres ${postgres}. ${runs.length} pairs of replays of the
${count(runs[0]?.on.votes ?? 0)} votes of the real election, one with the ledger and one without after the other, everything on this one machine. A
replay is disturbed when other things kept more than ${otherCoresMax} cores busy: ${set_aside} were made again for that, and ${stillDisturbed(runs)} of those
below were disturbed all the same. Medians:

| | with ledger | without | difference |
|---|---|---|---|
${row("votes/s", on.votes_per_second, off.votes_per_second, count)}
${row("p99, ms", on.p99_ms, off.p99_ms, count)}
${partRows.join("\n")}
${row("µs CPU a vote in all", on.cpu_us_a_vote_in_all, off.cpu_us_a_vote_in_all, micros)}

The ledger keeps **${percent(report.rate_kept)}** of the rate (median of the pairs; ${percent(promisedShare)} were promised), and by CPU a vote, which a busy
machine changes less, ${percent(report.rate_kept_by_cpu)}. Pair by pair:

| votes/s with | without | µs CPU a vote with | without | other cores with | without |
|---|---|---|---|---|---|
${runs.map(pairRow).join("\n")}
`;
}

function stillDisturbed(runs: readonly LedgerPair[]): number {
  return runs.flatMap(({ on, off }) => [on, off]).filter(isDisturbed).length;
}

function pairRow({ on, off }: LedgerPair): string {
  const cells = [
    count(on.votes_per_second),
    count(off.votes_per_second),
    micros(on.cpu_us_a_vote_in_all),
    micros(off.cpu_us_a_vote_in_all),
    on.other_cores ?? "not known",
    off.other_cores ?? "not known",
  ];
  return `| ${cells.join(" | ")} |`;
}

function mediansOf(runs: readonly ReplayFigures[]): Side {
  const of = (figure: (run: ReplayFigures) => number) => round(median(runs.map(figure)), 2);
  const parts = Object.keys(runs[0]?.cpu_us_a_vote ?? {});
  return {
    votes_per_second: of((run) => run.votes_per_second),
    p99_ms: of((run) => run.p99_ms),
    cpu_us_a_vote: Object.fromEntries(parts.map((part) => [part, of((run) => run.cpu_us_a_vote[part] ?? 0)])),
    cpu_us_a_vote_in_all: of((run) => run.cpu_us_a_vote_in_all),
  };
}

/** Of an even number, the mean of the two in the middle. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

function row(name: string, on: number, off: number, write: (n: number) => string): string {
  const difference = on - off;
  return `| ${name} | ${write(on)} | ${write(off)} | ${difference < 0 ? "−" : "+"}${write(Math.abs(difference))} |`;
}

function round(n: number, digits: number): number {
  return Number(n.toFixed(digits));
}

function micros(n: number): string {
  return n.toFixed(2);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}
