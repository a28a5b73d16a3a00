/** What a run of ghz found, in words and in one line of JSON. */
import type { Check } from "#bench/ghz-account.ts";
import type { GhzPlan } from "#bench/ghz-arguments.ts";
import type { GhzKind } from "#bench/ghz-options.ts";
import type { GhzReport, Latencies } from "#bench/ghz-report.ts";
import type { GhzResult } from "#bench/ghz-steady.ts";

export type SummaryInput = {
  readonly kind: GhzKind;
  readonly electionId: string;
  readonly router: string;
  readonly folder: string;
  readonly result: GhzResult;
};

/** No check failed. Idle ones had nothing to look at. */
export function hasPassed({ checks }: GhzResult): boolean {
  return checks.every(({ state }) => state !== "failed");
}

export function summaryText({ kind, folder, result }: SummaryInput): string {
  const { run, end, findings, checks } = result;
  const { report, plan, reportFile, pageFile } = run;
  const lines = [
    `ghz ${kind}: ${describeCall(plan)}, ${describeLoad(plan)}`,
    "",
    "What ghz says (of calls, not of votes)",
    ...ghzLines(report).map(indent),
    "",
    "What that means in votes",
    ...voteLines(result).map(indent),
    ...findings.map(indent),
    ...meaningOf(plan, report).map(indent),
    "",
    "Checks",
    ...checks.map((check) => indent(checkLine(check))),
    "",
    `Reports: ${reportFile}${pageFile === undefined ? "" : `, ${pageFile}`}; all files of this run: ${folder}`,
  ];
  if (end.outcomes !== undefined) lines.splice(lines.indexOf("Checks"), 0, ...outcomeLines(end.outcomes), "");
  return lines.join("\n");
}

function ghzLines(report: GhzReport): string[] {
  const { calls, seconds, callsPerSecond, statuses, errors, latencies } = report;
  const ok = latencies.get("OK");
  return [
    `calls      ${show(calls)} in ${seconds.toFixed(1)} s = ${show(callsPerSecond)} calls/s, whatever their status`,
    `status     ${[...statuses].map(([status, count]) => `${status || "none"} ${show(count)}`).join(", ")}`,
    ...(ok === undefined ? [] : [`latency    ${describeLatencies(ok)} (calls that ended OK)`]),
    ...[...latencies]
      .filter(([status]) => status !== "OK")
      .map(([status, figures]) => `           ${describeLatencies(figures)} (${status || "no status"})`),
    ...[...errors].slice(0, errorsShown).map(([error, count]) => `error      ${show(count)} × ${error}`),
  ];
}

const errorsShown = 5;

function voteLines({ run, end }: GhzResult): string[] {
  const { plan, report } = run;
  const { tallied } = end.counted;
  const main = plan.votesPerCall === 1 ? report.statuses.get("OK") : undefined;
  // Calibration and probe vote in the same election: where ghz itself knows, its own votes alone are meant.
  const votes = main ?? tallied;
  return [
    `${show(votes)} votes were accepted and counted in ${report.seconds.toFixed(1)} s = ${show(votes / report.seconds)} votes/s` +
      (plan.votesPerCall === 1 ? "" : ` (a call holds ${show(plan.votesPerCall)})`),
  ];
}

function outcomeLines(outcomes: ReadonlyMap<string, number>): string[] {
  return [
    `Votes as the routers answered them: ${[...outcomes].map(([outcome, n]) => `${outcome} ${show(n)}`).join(", ")}`,
  ];
}

function meaningOf({ load, call, votesPerCall }: GhzPlan, report: GhzReport): string[] {
  const latency =
    call === "CastVotes"
      ? `a latency is that of a whole stream of ${show(votesPerCall)} votes, from its opening to its end`
      : call === "CastVoteBatch"
        ? `a latency is that of a whole batch of ${show(votesPerCall)} votes; an OK call may hold votes that were refused, which ghz does not read`
        : "a latency is that of one vote";
  const loop =
    load.kind === "closed"
      ? `closed loop: the next call begins when one ends, so a slow cluster is asked less, and its worst moments weigh too little; for the latency at a given load use --rps`
      : `fixed rate: calls begin whatever is under way (ghz --async); a rate that ghz could not hold shows in its calls/s`;
  const kept =
    report.callsKept < report.calls
      ? [`percentiles are of the first ${show(report.callsKept)} calls: ghz keeps no more`]
      : [];
  return [latency, loop, ...kept];
}

function describeCall({ call, votesPerCall }: GhzPlan): string {
  return votesPerCall === 1 ? `${call}, one vote a call` : `${call}, ${show(votesPerCall)} votes a call`;
}

function describeLoad({ load, seconds, connections }: GhzPlan): string {
  const how =
    load.kind === "closed" ? `closed loop of ${show(load.concurrency)} calls` : `${show(load.callsPerSecond)} calls/s`;
  return `${how}, ${connections} connections, ${seconds} s`;
}

function describeLatencies({ p50Ms, p90Ms, p99Ms, maxMs }: Latencies): string {
  return `p50 ${p50Ms.toFixed(1)} ms, p90 ${p90Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)}, max ${maxMs.toFixed(0)}`;
}

const marks: Readonly<Record<Check["state"], string>> = { passed: "✓", failed: "✗", idle: "–" };

function checkLine({ title, state, says }: Check): string {
  return `${marks[state]} ${title}: ${says}`;
}

/** One object, for programs. */
export function summaryJson({ kind, electionId, router, result }: SummaryInput): Record<string, unknown> {
  const { run, end, rated, checks } = result;
  const { plan, report } = run;
  const latencies = [...report.latencies].map(([status, { calls, p50Ms, p90Ms, p95Ms, p99Ms, maxMs }]) => [
    status,
    { calls, p50_ms: p50Ms, p90_ms: p90Ms, p95_ms: p95Ms, p99_ms: p99Ms, max_ms: maxMs },
  ]);
  return {
    schema_version: 1,
    kind,
    passed: hasPassed(result),
    election_id: electionId,
    router,
    call: plan.call,
    votes_per_call: plan.votesPerCall,
    load:
      plan.load.kind === "closed"
        ? { concurrency: plan.load.concurrency }
        : { calls_per_second: plan.load.callsPerSecond },
    ...(rated === undefined ? {} : { rated_calls_per_second: rated }),
    seconds: report.seconds,
    calls: report.calls,
    calls_per_second: report.callsPerSecond,
    statuses: Object.fromEntries(report.statuses),
    latencies: Object.fromEntries(latencies),
    calls_in_percentiles: report.callsKept,
    votes_tallied: end.counted.tallied,
    votes_accepted_at_least: end.votes.acceptedMin,
    votes_accepted_at_most: end.votes.acceptedMax,
    ...(end.outcomes === undefined ? {} : { router_outcomes: Object.fromEntries(end.outcomes) }),
    checks: checks.map(({ title, state, says }) => ({ title, state, says })),
    report_json: run.reportFile,
    ...(run.pageFile === undefined ? {} : { report_html: run.pageFile }),
  };
}

function indent(line: string): string {
  return `  ${line}`;
}

function show(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}
