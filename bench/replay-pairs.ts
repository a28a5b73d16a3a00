/** Replays with something and without it, in turns, compared: whatever else the machine does falls on both. */
import type { BenchConditions } from "#bench/bench-conditions.ts";
import type { ReplayFigures } from "#bench/replay-run.ts";

/** Replays that ran one after the other. */
export type ReplayPair = { readonly on: ReplayFigures; readonly off: ReplayFigures };

type Side = {
  readonly votes_per_second: number;
  readonly p99_ms: number;
  readonly cpu_us_a_vote: Readonly<Record<string, number>>;
  readonly cpu_us_a_vote_in_all: number;
};

export type PairsComparison = {
  /** In the order in which they ran. */
  readonly runs: readonly ReplayPair[];
  /** Replays that were made again because the machine was busy with other things. */
  readonly set_aside: number;
  /** Medians, figure by figure. */
  readonly on: Side;
  readonly off: Side;
  /** Median of the pairs' ratios: the rate with it over the rate without. */
  readonly rate_kept: number;
  /** The same of CPU a vote: what the machine itself would keep of its rate, were CPU all that it lacks. */
  readonly rate_kept_by_cpu: number;
};

export type PairsReport = PairsComparison & {
  readonly schema_version: 1;
  readonly name: string;
  readonly conditions: BenchConditions;
};

/** So often is a replay made on a machine that is never quiet. */
const triesMax = 4;

/** More cores than these, busy with other things, disturb a replay; the kernel's own work takes 0.1 to 0.2. */
const otherCoresMax = 0.3;

export function isDisturbed(replay: ReplayFigures): boolean {
  return othersOf(replay) > otherCoresMax;
}

export type QuietReplay = { readonly figures: ReplayFigures; readonly setAside: readonly ReplayFigures[] };

/** The first replay that nothing disturbed; on a machine that is never quiet, the one that was disturbed least. */
export async function measureInQuiet(
  what: string,
  replayOnce: (what: string) => Promise<ReplayFigures>,
  tries = triesMax,
): Promise<QuietReplay> {
  let best = await replayOnce(what);
  const setAside: ReplayFigures[] = [];
  for (let made = 1; isDisturbed(best) && made < tries; made++) {
    const again = await replayOnce(`${what}, again`);
    const [better, worse] = othersOf(again) < othersOf(best) ? [again, best] : [best, again];
    best = better;
    setAside.push(worse);
  }
  return { figures: best, setAside };
}

export function comparePairs(runs: readonly ReplayPair[], setAside: number): PairsComparison {
  const kept = (ratio: (pair: ReplayPair) => number) => round(median(runs.map(ratio)), 3);
  return {
    runs,
    set_aside: setAside,
    on: mediansOf(runs.map(({ on }) => on)),
    off: mediansOf(runs.map(({ off }) => off)),
    rate_kept: kept(({ on, off }) => on.votes_per_second / off.votes_per_second),
    rate_kept_by_cpu: kept(({ on, off }) => off.cpu_us_a_vote_in_all / on.cpu_us_a_vote_in_all),
  };
}

/** `thing` is what the replays were made with and without: "ledger". `verdict` is the sentence about what is kept. */
export function pairsMarkdown(report: PairsReport, thing: string, verdict: string): string {
  const { name, conditions, runs, set_aside, on, off } = report;
  const { date, command, commit, cpu, cores, memoryGiB, system, node, postgres } = conditions;
  const parts = Object.keys(on.cpu_us_a_vote);
  const partRows = parts.map((part) => row(part, on.cpu_us_a_vote[part] ?? 0, off.cpu_us_a_vote[part] ?? 0, micros));
  return `# ${name}, ${date.slice(0, 10)}

\`${command}\` at commit ${commit}, ${date}.

${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; Node ${node}, Postgres ${postgres}. ${runs.length} pairs of replays of the
${count(runs[0]?.on.votes ?? 0)} votes of the real election, one with ${thing} and one without after the other, everything on this one machine. A
replay is disturbed when other things kept more than ${otherCoresMax} cores busy: ${set_aside} were made again for that, and ${stillDisturbed(runs)} of those
below were disturbed all the same. Medians:

| | with ${thing} | without | difference |
|---|---|---|---|
${row("votes/s", on.votes_per_second, off.votes_per_second, count)}
${row("p99, ms", on.p99_ms, off.p99_ms, count)}
${partRows.join("\n")}
${row("µs CPU a vote in all", on.cpu_us_a_vote_in_all, off.cpu_us_a_vote_in_all, micros)}

${verdict} Pair by pair:

| votes/s with | without | µs CPU a vote with | without | other cores with | without |
|---|---|---|---|---|---|
${runs.map(pairRow).join("\n")}
`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function othersOf({ other_cores = 0 }: ReplayFigures): number {
  return other_cores;
}

function stillDisturbed(runs: readonly ReplayPair[]): number {
  return runs.flatMap(({ on, off }) => [on, off]).filter(isDisturbed).length;
}

function pairRow({ on, off }: ReplayPair): string {
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

function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}
