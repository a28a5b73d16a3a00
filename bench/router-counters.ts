/** What the routers' /metrics say, before and after: how many votes ended how, and how long refusals took. */
import { get } from "node:http";

/** Series, as the metrics name it with its labels, → value; one map for each router. */
export type RouterCounters = readonly ReadonlyMap<string, number>[];

const readLimitMs = 5_000;
const votesTotal = "urna_router_votes_total";
const refusalSeconds = "urna_rpc_refusal_seconds";

/** Undefined when a router does not answer. */
export async function readCounters(urls: readonly string[]): Promise<RouterCounters | undefined> {
  try {
    return (await Promise.all(urls.map(readText))).map(seriesOf);
  } catch {
    return undefined;
  }
}

function readText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { timeout: readLimitMs, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.once("end", () => resolve(text));
      response.once("error", reject);
    });
    request.once("timeout", () => request.destroy(new Error(`${url} does not answer`)));
    request.once("error", reject);
  });
}

export function seriesOf(text: string): ReadonlyMap<string, number> {
  const series = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)/.exec(line);
    if (match?.[1] !== undefined) series.set(match[1], Number(match[2]));
  }
  return series;
}

/**
 * Votes by outcome ("recorded", "repeat", or a rejection's reason) that all routers answered in between. Undefined when a
 * router has begun anew since, or could not be asked.
 */
export function outcomesBetween(
  before: RouterCounters | undefined,
  after: RouterCounters | undefined,
): ReadonlyMap<string, number> | undefined {
  return growthOf(before, after, (name) => labelOf(name, votesTotal, "outcome"));
}

export type ServerRefusals = {
  readonly calls: number;
  /** Answered within this many milliseconds of their arrival, by the router's own clock. */
  readonly within: (milliseconds: number) => number;
};

/** Of calls that were refused with RESOURCE_EXHAUSTED, as the routers measured them. Undefined where they do not measure it, or began anew. */
export function refusalsBetween(
  before: RouterCounters | undefined,
  after: RouterCounters | undefined,
): ServerRefusals | undefined {
  const buckets = growthOf(before, after, (name) => labelOf(name, `${refusalSeconds}_bucket`, "le"));
  const calls = buckets?.get("+Inf");
  if (buckets === undefined || calls === undefined) return undefined;
  const within = (milliseconds: number) => {
    const fitting = [...buckets].filter(([le]) => Number(le) * 1_000 <= milliseconds).map(([, count]) => count);
    return Math.max(0, ...fitting);
  };
  return { calls, within };
}

function growthOf(
  before: RouterCounters | undefined,
  after: RouterCounters | undefined,
  nameOf: (series: string) => string | undefined,
): ReadonlyMap<string, number> | undefined {
  if (before === undefined || after === undefined || before.length !== after.length) return undefined;
  const growth = new Map<string, number>();
  for (const [i, router] of after.entries()) {
    for (const [series, value] of router) {
      const name = nameOf(series);
      if (name === undefined) continue;
      const grown = value - (before[i]?.get(series) ?? 0);
      if (grown < 0) return undefined;
      if (grown > 0) growth.set(name, (growth.get(name) ?? 0) + grown);
    }
    // A router that began anew and has passed the old values by now shows by a series that it no longer has, or by its start.
    const startedAt = "process_start_time_seconds";
    if (router.get(startedAt) !== before[i]?.get(startedAt)) return undefined;
  }
  return growth;
}

function labelOf(series: string, metric: string, label: string): string | undefined {
  if (!series.startsWith(`${metric}{`)) return undefined;
  return new RegExp(`[{,]${label}="([^"]*)"`).exec(series)?.[1];
}
