/** What ghz says of a run, in its JSON report. */

export type Latencies = {
  readonly calls: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
};

export type GhzReport = {
  /** Ended ones, whatever their status. */
  readonly calls: number;
  /** Until the last one ended. */
  readonly seconds: number;
  readonly callsPerSecond: number;
  /** gRPC's status, as Go spells it, → calls. */
  readonly statuses: ReadonlyMap<string, number>;
  /** Message of an error → calls. */
  readonly errors: ReadonlyMap<string, number>;
  /** Of the calls whose latency ghz has kept: by status. */
  readonly latencies: ReadonlyMap<string, Latencies>;
  /** Fewer than `calls` when there were more than ghz keeps: percentiles are of those. */
  readonly callsKept: number;
};

/** gRPC statuses that our catalogue gives to what certainly stored nothing, alone. */
const refusals: ReadonlySet<string> = new Set([
  "InvalidArgument",
  "NotFound",
  "AlreadyExists",
  "FailedPrecondition",
  "PermissionDenied",
  "ResourceExhausted",
  "Unauthenticated",
]);

/** Calls by what their callers know of their votes. */
export type CallFates = { readonly accepted: number; readonly refused: number; readonly unknown: number };

export function fatesOf({ statuses }: Pick<GhzReport, "statuses">): CallFates {
  let [accepted, refused, unknown] = [0, 0, 0];
  for (const [status, calls] of statuses) {
    if (status === "OK") accepted += calls;
    else if (refusals.has(status)) refused += calls;
    else unknown += calls;
  }
  return { accepted, refused, unknown };
}

type Detail = { readonly latency: number; readonly status: string };

/** Throws when the text is not a report of ghz. */
export function parseGhzReport(text: string): GhzReport {
  const report: unknown = JSON.parse(text);
  if (!isRecord(report) || typeof report["count"] !== "number" || typeof report["total"] !== "number") {
    throw new Error("this is no report of ghz");
  }
  const details = (Array.isArray(report["details"]) ? report["details"] : []) as readonly Detail[];
  const seconds = report["total"] / 1e9;
  return {
    calls: report["count"],
    seconds,
    callsPerSecond: report["count"] / seconds,
    statuses: countsOf(report["statusCodeDistribution"]),
    errors: countsOf(report["errorDistribution"]),
    latencies: latenciesByStatus(details),
    callsKept: details.length,
  };
}

function latenciesByStatus(details: readonly Detail[]): ReadonlyMap<string, Latencies> {
  const byStatus = new Map<string, number[]>();
  for (const { status, latency } of details) {
    const list = byStatus.get(status);
    if (list === undefined) byStatus.set(status, [latency / 1e6]);
    else list.push(latency / 1e6);
  }
  return new Map([...byStatus].map(([status, latencies]) => [status, latenciesOf(latencies)]));
}

/** Of at least one. */
export function latenciesOf(milliseconds: Iterable<number>): Latencies {
  const sorted = Float64Array.from(milliseconds).sort();
  const quantile = (part: number) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
  return {
    calls: sorted.length,
    p50Ms: quantile(0.5),
    p90Ms: quantile(0.9),
    p95Ms: quantile(0.95),
    p99Ms: quantile(0.99),
    maxMs: quantile(1),
  };
}

function countsOf(distribution: unknown): ReadonlyMap<string, number> {
  if (!isRecord(distribution)) return new Map();
  return new Map(Object.entries(distribution).map(([name, calls]) => [name, Number(calls)]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
