/** What ghz is told to do, as its command line. */
import type { GhzTarget } from "#bench/ghz-target.ts";
import type { GhzCall } from "#bench/ghz-votes.ts";

export type GhzLoad =
  /** So many calls are under way at any time; the next one begins when one ends. */
  | { readonly kind: "closed"; readonly concurrency: number }
  /** Calls begin at this rate, whatever is under way. */
  | { readonly kind: "open"; readonly callsPerSecond: number };

export type GhzPlan = {
  /** In ghz's page. */
  readonly name: string;
  readonly call: GhzCall;
  readonly votesPerCall: number;
  readonly load: GhzLoad;
  readonly seconds: number;
  readonly connections: number;
};

export type GhzFiles = { readonly data: string; readonly report: string };

/**
 * How long a caller waits for an answer. ghz's clock starts before it has made the message, so that in an open loop that it
 * cannot hold a short patience would be over before the call is sent.
 */
const callSeconds: Readonly<Record<GhzLoad["kind"], number>> = { closed: 10, open: 30 };
const connectSeconds = 5;
/** They only hand calls on, in an open loop. */
const openLoopWorkers = 50;

export function ghzArguments(plan: GhzPlan, target: Pick<GhzTarget, "router" | "tls">, files: GhzFiles): string[] {
  const { name, call, seconds, connections } = plan;
  return [
    ...(target.tls === undefined
      ? ["--insecure"]
      : ["--cacert", target.tls.ca_file, "--cert", target.tls.cert_file, "--key", target.tls.key_file]),
    "--name",
    name,
    "--call",
    `urna.v1.VoteService/${call}`,
    "--data-file",
    files.data,
    ...loadArguments(plan.load, connections),
    "--connections",
    String(connections),
    "--duration",
    `${seconds}s`,
    // Cut off at the end, calls would be failures whose votes may be stored.
    "--duration-stop",
    "wait",
    "--timeout",
    `${callSeconds[plan.load.kind]}s`,
    "--connect-timeout",
    `${connectSeconds}s`,
    "--format",
    "json",
    "--output",
    files.report,
    target.router,
  ];
}

function loadArguments(load: GhzLoad, connections: number): string[] {
  switch (load.kind) {
    case "closed":
      return ["--concurrency", String(load.concurrency)];
    case "open":
      return [
        "--async",
        "--rps",
        String(load.callsPerSecond),
        "--concurrency",
        String(Math.max(openLoopWorkers, connections)),
      ];
  }
}
