/** The loads that do not change while they last: unary, batch, stream, and the long soak. */
import type { Check } from "#bench/ghz-account.ts";
import type { GhzOptions } from "#bench/ghz-options.ts";
import type { GhzRun } from "#bench/ghz-program.ts";
import type { GhzSession, SessionEnd } from "#bench/ghz-session.ts";
import type { MemorySample, MemoryTrend } from "#bench/memory-watch.ts";
import { MemoryWatch, trendsOf } from "#bench/memory-watch.ts";

/** What a run of any kind ends with. */
export type GhzResult = {
  readonly run: GhzRun;
  readonly end: SessionEnd;
  /** Calls a second; for the kinds that know a rated load. */
  readonly rated: number | undefined;
  /** For people, each a line of its own. */
  readonly findings: readonly string[];
  readonly checks: readonly Check[];
  readonly memory: readonly MemorySample[];
};

export async function runSteady(session: GhzSession, options: GhzOptions): Promise<GhzResult> {
  const run = await session.run(options);
  const end = await session.end();
  return { run, end, rated: undefined, findings: [], checks: end.checks, memory: [] };
}

/** Half of the rated load at fixed times, with every process's memory each second. */
export async function runSoak(session: GhzSession, options: GhzOptions): Promise<GhzResult> {
  const rated = options.rated ?? (await session.calibrate(options));
  const callsPerSecond = Math.max(1, Math.round(rated / 2));
  const watch = new MemoryWatch(session.options.target.pids);
  const run = await session.run({ ...options, load: { kind: "open", callsPerSecond } }).finally(() => watch.stop());
  const end = await session.end();
  const findings = trendsOf(watch.samples).map(describeTrend);
  return { run, end, rated, findings, checks: end.checks, memory: watch.samples };
}

function describeTrend({ name, firstMiB, lastMiB, maxMiB, mebibytesPerMinute }: MemoryTrend): string {
  const sign = mebibytesPerMinute < 0 ? "−" : "+";
  const trend = `${sign}${Math.abs(mebibytesPerMinute).toFixed(1)} MiB/min in the second half`;
  return `memory of ${name}: ${firstMiB.toFixed(0)} → ${lastMiB.toFixed(0)} MiB, at most ${maxMiB.toFixed(0)}; ${trend}`;
}
