/** The memory of a cluster's processes, looked at each second while a load runs. */

import type { Check } from "#bench/ghz-account.ts";
import { memoryByProcess } from "#bench/process-memory.ts";

export type MemorySample = {
  readonly atSeconds: number;
  /** MiB by name of the process. */
  readonly byName: ReadonlyMap<string, number>;
};

export type MemoryTrend = {
  readonly name: string;
  readonly firstMiB: number;
  readonly lastMiB: number;
  readonly maxMiB: number;
  /** Of the line that fits the second half best. */
  readonly mebibytesPerMinute: number;
};

const everyMs = 1_000;
/** At both ends so many samples are averaged: a garbage collection is no trend. */
const averaged = 3;

export class MemoryWatch {
  readonly #pids: ReadonlyMap<string, number>;
  readonly #samples: MemorySample[] = [];
  readonly #startMs = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor(pids: ReadonlyMap<string, number>) {
    this.#pids = pids;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), everyMs).unref();
  }

  get samples(): readonly MemorySample[] {
    return this.#samples;
  }

  stop(): readonly MemorySample[] {
    clearInterval(this.#timer);
    return this.#samples;
  }

  #sample(): void {
    this.#samples.push({
      atSeconds: (performance.now() - this.#startMs) / 1_000,
      byName: memoryByName(this.#pids),
    });
  }
}

/** MiB by name; a process that has ended, or whose memory the system does not tell, is absent. */
export function memoryByName(pids: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const memory = memoryByProcess();
  return new Map(
    [...pids].flatMap(([name, pid]) => {
      const mebibytes = memory.get(pid);
      return pid === 0 || mebibytes === undefined ? [] : [[name, mebibytes] as const];
    }),
  );
}

/** Of every process that was there in all samples. */
export function trendsOf(samples: readonly MemorySample[]): MemoryTrend[] {
  const names = [...(samples[0]?.byName.keys() ?? [])];
  return names.flatMap((name) => {
    const points = samples.flatMap(({ atSeconds, byName }) => {
      const mebibytes = byName.get(name);
      return mebibytes === undefined ? [] : [{ atSeconds, mebibytes }];
    });
    if (points.length < samples.length) return [];
    const values = points.map(({ mebibytes }) => mebibytes);
    return [
      {
        name,
        firstMiB: mean(values.slice(0, averaged)),
        lastMiB: mean(values.slice(-averaged)),
        maxMiB: Math.max(...values),
        mebibytesPerMinute: 60 * slope(points.slice(Math.floor(points.length / 2))),
      },
    ];
  });
}

function slope(points: readonly { readonly atSeconds: number; readonly mebibytes: number }[]): number {
  const meanSeconds = mean(points.map(({ atSeconds }) => atSeconds));
  const meanMebibytes = mean(points.map(({ mebibytes }) => mebibytes));
  let [above, below] = [0, 0];
  for (const { atSeconds, mebibytes } of points) {
    above += (atSeconds - meanSeconds) * (mebibytes - meanMebibytes);
    below += (atSeconds - meanSeconds) ** 2;
  }
  return below === 0 ? 0 : above / below;
}

/** What a process may keep after a burst: the heap of a garbage collector does not shrink to where it was. */
export const keptPart = 0.3;
export const keptMiB = 64;

export function hasReturned(beforeMiB: number, nowMiB: number): boolean {
  return nowMiB <= beforeMiB * (1 + keptPart) + keptMiB;
}

/** Of the services' own processes; what Postgres keeps is its own affair. */
export function memoryCheck(
  before: ReadonlyMap<string, number>,
  peak: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): Check {
  const title = `memory returns (to within ${keptPart * 100} % + ${keptMiB} MiB of before)`;
  const services = [...before].filter(([name]) => isService(name));
  if (services.length === 0) return { title, state: "idle", says: "this system does not tell" };
  const shown = services.map(([name, mebibytes]) => {
    const [top, now] = [peak.get(name) ?? mebibytes, after.get(name)];
    return { name, fits: now !== undefined && hasReturned(mebibytes, now), says: rise(name, mebibytes, top, now) };
  });
  const failed = shown.filter(({ fits }) => !fits);
  return {
    title,
    state: failed.length === 0 ? "passed" : "failed",
    says: (failed.length === 0 ? shown : failed).map(({ says }) => says).join(", "),
  };
}

export function isService(name: string): boolean {
  return !/-(primary|standby)$/.test(name);
}

/** The most that each process had in any sample. */
export function peaksOf(samples: readonly MemorySample[]): ReadonlyMap<string, number> {
  const peaks = new Map<string, number>();
  for (const { byName } of samples) {
    for (const [name, mebibytes] of byName) peaks.set(name, Math.max(peaks.get(name) ?? 0, mebibytes));
  }
  return peaks;
}

function rise(name: string, before: number, peak: number, after: number | undefined): string {
  const end = after === undefined ? "gone" : after.toFixed(0);
  return `${name} ${before.toFixed(0)} → ${peak.toFixed(0)} → ${end} MiB`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
