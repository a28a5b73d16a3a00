/** Idle, ten times the rated load within a second, idle again: what a router must survive with its manners. */
import { setTimeout as delay } from "node:timers/promises";
import type { Check } from "#bench/ghz-account.ts";
import type { GhzOptions } from "#bench/ghz-options.ts";
import type { GhzReport } from "#bench/ghz-report.ts";
import { fatesOf, latenciesOf } from "#bench/ghz-report.ts";
import type { GhzSession } from "#bench/ghz-session.ts";
import type { GhzResult } from "#bench/ghz-steady.ts";
import { hasReturned, isService, MemoryWatch, memoryByName, memoryCheck, peaksOf } from "#bench/memory-watch.ts";
import { readCounters, refusalsBetween, type ServerRefusals } from "#bench/router-counters.ts";
import type { ProbeCall } from "#bench/spike-probe.ts";
import { SpikeProbe } from "#bench/spike-probe.ts";
import { catalogue } from "#proto/rejections.ts";

const spikeTimes = 10;
const idleMs = 3_000;
const memoryLimitMs = 60_000;
const memoryPollMs = 1_000;
const refusalMsMax = 100;
/** Refusals above the limit that are still none: one in so many. A process that shares two cores stands still now and then. */
const slowPartMax = 0.01;

/** What is known of the refusals of a spike, from three places. */
export type SpikeWitness = {
  readonly report: GhzReport;
  /** By the routers' own clocks; undefined where they do not tell. */
  readonly server: ServerRefusals | undefined;
  readonly probe: readonly ProbeCall[];
};

export async function runSpike(session: GhzSession, options: GhzOptions): Promise<GhzResult> {
  const { target, log, signal } = session.options;
  const rated = options.rated ?? (await session.calibrate(options));
  const probe = new SpikeProbe(target, session.electionId);
  const watch = new MemoryWatch(target.pids);
  try {
    await delay(idleMs, undefined, { signal });
    const idleBefore = memoryByName(target.pids);
    const countersBefore = await readCounters(target.routerMetrics);
    const spikeAtMs = probe.nowMs;
    const run = await session.run({ ...options, load: { kind: "open", callsPerSecond: spikeTimes * rated } });
    const spikeEndMs = probe.nowMs;
    const server = refusalsBetween(countersBefore, await readCounters(target.routerMetrics));
    log("the spike is over; waiting for the memory to return");
    const idleAfter = await untilReturned(target.pids, idleBefore, signal);
    await delay(idleMs, undefined, { signal });
    await probe.stop();
    session.note(probe.votes);
    const end = await session.end();
    const witness: SpikeWitness = { report: run.report, server, probe: probe.calls };
    return {
      run,
      end,
      rated,
      findings: spikeFindings(witness, rated, { spikeAtMs, spikeEndMs }),
      checks: [...end.checks, ...refusalChecks(witness), memoryCheck(idleBefore, peaksOf(watch.samples), idleAfter)],
      memory: watch.samples,
    };
  } finally {
    watch.stop();
    await probe.stop();
  }
}

async function untilReturned(
  pids: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const untilMs = performance.now() + memoryLimitMs;
  for (;;) {
    const now = memoryByName(pids);
    const services = [...before].filter(([name]) => isService(name));
    const returned = services.every(([name, mebibytes]) => hasReturned(mebibytes, now.get(name) ?? Infinity));
    if (returned || performance.now() > untilMs) return now;
    await delay(memoryPollMs, undefined, { signal });
  }
}

export function refusalChecks(witness: SpikeWitness): Check[] {
  return [onlyOverloaded(witness), refusedSoon(witness), saidWhenToComeBack(witness)];
}

/** Neither an error of the network, nor a deadline, nor INTERNAL. */
function onlyOverloaded({ report, probe }: SpikeWitness): Check {
  const title = "what was refused was refused with OVERLOADED";
  const refused = report.statuses.get(ghzOverloaded) ?? 0;
  const others = [...report.statuses].filter(([status]) => status !== "OK" && status !== ghzOverloaded);
  const strange = [...report.errors.keys()].filter((error) => error.includes(ghzOverloaded) && !isOverloaded(error));
  const probed = probe.filter(({ outcome }) => outcome !== "recorded" && outcome !== "OVERLOADED");
  const wrong = [
    ...others.map(([status, calls]) => `${show(calls)} calls ended with ${status || "no status"}`),
    ...strange.slice(0, 3),
    ...(probed.length === 0 ? [] : [`${probed.length} calls of the probe ended with ${probed[0]?.outcome}`]),
  ];
  if (wrong.length > 0) return { title, state: "failed", says: wrong.join("; ") };
  if (refused === 0) return { title, state: "idle", says: "nothing was refused: the cluster took all that ghz sent" };
  return { title, state: "passed", says: `${show(refused)} of ${show(report.calls)} calls` };
}

const ghzOverloaded = "ResourceExhausted";

function isOverloaded(error: string): boolean {
  return error.includes(catalogue.OVERLOADED.message);
}

function refusedSoon({ report, server, probe }: SpikeWitness): Check {
  const title = `refusals take less than ${refusalMsMax} ms`;
  const seen = probe.filter(({ outcome }) => outcome === "OVERLOADED").map(({ latencyMs }) => latencyMs);
  const ghz = report.latencies.get(ghzOverloaded);
  if (ghz === undefined && seen.length === 0) return { title, state: "idle", says: "nothing was refused" };
  const outside = [
    ...(ghz === undefined ? [] : [`at ghz p50 ${ms(ghz.p50Ms)}, p99 ${ms(ghz.p99Ms)}`]),
    ...(seen.length === 0
      ? []
      : [`at the probe p50 ${ms(latenciesOf(seen).p50Ms)}, p99 ${ms(latenciesOf(seen).p99Ms)}`]),
  ].join("; ");
  if (server === undefined || server.calls === 0) {
    return { title, state: "idle", says: `the routers do not tell how long they took; ${outside}` };
  }
  const slow = server.calls - server.within(refusalMsMax);
  return {
    title,
    state: slow <= slowPartMax * server.calls ? "passed" : "failed",
    says: `in the router ${show(server.calls - slow)} of ${show(server.calls)}; ${outside}`,
  };
}

function saidWhenToComeBack({ report, probe }: SpikeWitness): Check {
  const title = "refusals say when to come back (RetryInfo)";
  const refused = probe.filter(({ outcome }) => outcome === "OVERLOADED");
  const waits = refused.flatMap(({ retryAfterMs }) => (retryAfterMs === undefined ? [] : [retryAfterMs]));
  if (refused.length === 0) {
    const anyRefused = (report.statuses.get(ghzOverloaded) ?? 0) > 0;
    return { title, state: "idle", says: anyRefused ? "the probe met none of the refusals" : "nothing was refused" };
  }
  const bad = refused.length - waits.filter((wait) => wait > 0).length;
  const [least, most] = [Math.min(...waits), Math.max(...waits)];
  return {
    title,
    state: bad === 0 ? "passed" : "failed",
    says:
      bad === 0
        ? `${refused.length} of the probe's calls, ${least.toFixed(0)} to ${most.toFixed(0)} ms`
        : `${bad} of ${refused.length} did not`,
  };
}

function spikeFindings(
  { report, probe }: SpikeWitness,
  rated: number,
  { spikeAtMs, spikeEndMs }: { readonly spikeAtMs: number; readonly spikeEndMs: number },
): string[] {
  const offered = report.callsPerSecond / rated;
  const { accepted, refused, unknown } = fatesOf(report);
  const lacking =
    offered < 0.9 * spikeTimes
      ? ` ghz could not send more: it shares the machine, or its ${spikeTimes} times is more than this machine can make`
      : "";
  const before = probe.filter(({ atMs }) => atMs < spikeAtMs);
  const after = probe.filter(({ atMs }) => atMs > spikeEndMs);
  const back = after.find(({ outcome }) => outcome === "recorded");
  return [
    `rated ${show(rated)} calls/s; asked for ${show(spikeTimes * rated)}, sent ${show(Math.round(report.callsPerSecond))} = ${offered.toFixed(1)} times.${lacking}`,
    `of the spike's calls ${show(accepted)} were accepted, ${show(refused)} refused, ${show(unknown)} of unknown outcome`,
    `a vote beside it took ${medianOf(before)} before the spike (median), ${medianOf(after)} after it` +
      (back === undefined
        ? "; none was accepted after it"
        : `; the first one accepted after it began at ${ms(back.atMs - spikeEndMs)}`),
  ];
}

function medianOf(calls: readonly ProbeCall[]): string {
  const latencies = calls.filter(({ outcome }) => outcome === "recorded").map(({ latencyMs }) => latencyMs);
  return latencies.length === 0 ? "no time" : ms(latenciesOf(latencies).p50Ms);
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

function show(count: number): string {
  return count.toLocaleString("en-US");
}
