/** What `npm run ghz` is told. */
import { parseArgs } from "node:util";
import type { GhzLoad } from "#bench/ghz-arguments.ts";
import type { GhzCall } from "#bench/ghz-votes.ts";
import { batchRequestVotesMax } from "#proto/limits.ts";

export const ghzKinds = ["unary", "batch", "stream", "spike", "soak"] as const;
export type GhzKind = (typeof ghzKinds)[number];

export type GhzOptions = {
  readonly kind: GhzKind;
  readonly dir: string;
  /** Which of the cluster's routers, from 0. */
  readonly router: number;
  readonly call: GhzCall;
  readonly votesPerCall: number;
  readonly load: GhzLoad;
  readonly seconds: number;
  readonly connections: number;
  /** Calls a second that the cluster is said to bear; undefined: measured first. */
  readonly rated: number | undefined;
  readonly json: boolean;
};

/** The command line is wrong; the message says how. */
export class GhzUsageError extends Error {
  override readonly name = "GhzUsageError";
}

export const ghzUsage = `npm run ghz -- KIND [options]      against a cluster that runs already (npm start)

  unary    CastVote, one vote a call
  batch    CastVoteBatch, --votes a call (default 500)
  stream   CastVotes, streams of --votes each (default 1,000)
  spike    idle, then 10 times the rated load within a second for 10 s, then idle
  soak     half of the rated load, for --minutes (default 10)

  --dir DIR          the run's folder, where endpoints.json is (default .urna)
  --router N         which router, counted from 0 (default 0)
  --seconds N        how long (unary, batch, stream, spike: default 10)
  --minutes N        how long (soak)
  --concurrency N    calls under way at a time (default 50; batch and stream 4)
  --connections N    connections to the router (default 2)
  --rps N            calls a second at fixed times instead, whatever is under way (unary, batch, stream)
  --votes N          votes a call, at most ${batchRequestVotesMax} (batch, stream; spike and soak: CastVoteBatch instead of CastVote)
  --rated N          calls a second that count as rated (spike, soak; default: measured for 5 s)
  --json             one line of JSON on standard output, all else on standard error`;

type Defaults = {
  readonly call: GhzCall;
  readonly votes: number;
  readonly concurrency: number;
  readonly seconds: number;
};

const defaults: Readonly<Record<GhzKind, Defaults>> = {
  unary: { call: "CastVote", votes: 1, concurrency: 50, seconds: 10 },
  batch: { call: "CastVoteBatch", votes: 500, concurrency: 4, seconds: 10 },
  stream: { call: "CastVotes", votes: 1_000, concurrency: 4, seconds: 10 },
  spike: { call: "CastVote", votes: 1, concurrency: 50, seconds: 10 },
  soak: { call: "CastVote", votes: 1, concurrency: 50, seconds: 600 },
};

/** Options that only some kinds know. */
const onlyFor: Readonly<Record<string, readonly GhzKind[]>> = {
  seconds: ["unary", "batch", "stream", "spike"],
  minutes: ["soak"],
  rps: ["unary", "batch", "stream"],
  votes: ["batch", "stream", "spike", "soak"],
  rated: ["spike", "soak"],
  concurrency: ["unary", "batch", "stream"],
};

/** Undefined when help is asked for. Throws GhzUsageError. */
export function readOptions(args: readonly string[]): GhzOptions | undefined {
  const { values, positionals } = parsed(args);
  if (values.help) return undefined;
  const kind = kindOf(positionals);
  for (const [name, kinds] of Object.entries(onlyFor)) {
    if (values[name as keyof typeof values] !== undefined && !kinds.includes(kind)) {
      throw new GhzUsageError(`--${name} is for ${kinds.join(", ")}, not for ${kind}`);
    }
  }
  const number = (name: NumberName, fallback: number, max: number, min = 1) =>
    wholeNumber(name, values[name], fallback, { min, max });
  const { call, votes, concurrency, seconds } = defaults[kind];
  const connections = number("connections", 2, 100);
  const votesPerCall = number("votes", votes, batchRequestVotesMax);
  const atOnce = number("concurrency", Math.max(concurrency, connections), 10_000);
  if (connections > atOnce) throw new GhzUsageError("--connections may not exceed --concurrency");
  return {
    kind,
    dir: values.dir ?? ".urna",
    router: number("router", 0, 1_000, 0),
    call: call === "CastVote" && votesPerCall > 1 ? "CastVoteBatch" : call,
    votesPerCall,
    load:
      values.rps === undefined
        ? { kind: "closed", concurrency: atOnce }
        : { kind: "open", callsPerSecond: number("rps", 0, 1_000_000) },
    seconds: kind === "soak" ? 60 * number("minutes", seconds / 60, 24 * 60) : number("seconds", seconds, 3_600),
    connections,
    rated: values.rated === undefined ? undefined : number("rated", 0, 100_000),
    json: values.json ?? false,
  };
}

type NumberName = "router" | "seconds" | "minutes" | "concurrency" | "connections" | "rps" | "votes" | "rated";

function parsed(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...{ dir: text, router: text, seconds: text, minutes: text, concurrency: text, connections: text },
        ...{ rps: text, votes: text, rated: text },
        ...{ json: flag, help: { ...flag, short: "h" } },
      },
    });
  } catch (error) {
    throw new GhzUsageError(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error));
  }
}

function kindOf(positionals: readonly string[]): GhzKind {
  const [kind, ...rest] = positionals;
  const known = ghzKinds.find((candidate) => candidate === kind);
  if (kind === undefined) throw new GhzUsageError(`which kind of load? One of ${ghzKinds.join(", ")}`);
  if (known === undefined) throw new GhzUsageError(`there is no kind "${kind}"; there are ${ghzKinds.join(", ")}`);
  if (rest.length > 0) throw new GhzUsageError(`one kind at a time, not also "${rest.join(" ")}"`);
  return known;
}

function wholeNumber(
  name: string,
  text: string | undefined,
  fallback: number,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new GhzUsageError(`--${name} is a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}
