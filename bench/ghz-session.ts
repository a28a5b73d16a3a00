/** One `npm run ghz`: its election, its folder, its runs of ghz, and at the end the count of everything that was sent. */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Check, SentVotes } from "#bench/ghz-account.ts";
import { countChecks, sentBy, sumOfSent } from "#bench/ghz-account.ts";
import type { GhzLoad, GhzPlan } from "#bench/ghz-arguments.ts";
import type { Counted } from "#bench/ghz-election.ts";
import { countElection, openElection } from "#bench/ghz-election.ts";
import type { GhzKind } from "#bench/ghz-options.ts";
import type { GhzRun } from "#bench/ghz-program.ts";
import { runGhz } from "#bench/ghz-program.ts";
import { fatesOf } from "#bench/ghz-report.ts";
import type { GhzTarget } from "#bench/ghz-target.ts";
import { GhzRefusal, isAlive, readPids } from "#bench/ghz-target.ts";
import { voteData } from "#bench/ghz-votes.ts";
import type { RouterCounters } from "#bench/router-counters.ts";
import { outcomesBetween, readCounters } from "#bench/router-counters.ts";

export type SessionOptions = {
  readonly ghz: string;
  readonly kind: GhzKind;
  readonly target: GhzTarget;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
};

/** What a load is, beside what the session knows. */
export type LoadShape = Pick<GhzPlan, "call" | "votesPerCall" | "seconds" | "connections"> & { readonly load: GhzLoad };

export type SessionEnd = {
  readonly votes: SentVotes;
  /** What the routers say of all votes of the session; undefined when they cannot be believed. */
  readonly outcomes: ReadonlyMap<string, number> | undefined;
  readonly counted: Counted;
  readonly checks: readonly Check[];
};

const calibrationSeconds = 5;
/** Under way all the time; a batch is many votes. */
const calibrationCalls = { single: 50, batch: 4 } as const;
const keyPrefixBytes = 12;
const countLimitMs = 60_000;

export class GhzSession {
  readonly electionId: string;
  readonly folder: string;
  readonly options: SessionOptions;
  readonly #counters: RouterCounters | undefined;
  readonly #sent: SentVotes[] = [];

  private constructor(options: SessionOptions, name: string, counters: RouterCounters | undefined) {
    this.options = options;
    this.electionId = `ghz-${name}`;
    this.folder = join(options.target.dir, "ghz", name);
    this.#counters = counters;
  }

  static async open(options: SessionOptions): Promise<GhzSession> {
    const { target, kind, log } = options;
    const name = `${timeName(new Date())}-${kind}`;
    const counters = await readCounters(target.routerMetrics);
    const session = new GhzSession(options, name, counters);
    await mkdir(session.folder, { recursive: true }).catch((error: Error) => {
      throw new GhzRefusal(`the reports' folder cannot be made: ${error.message}`);
    });
    await openElection(target, session.electionId);
    log(`election ${session.electionId} is open at ${target.router}; reports: ${session.folder}`);
    return session;
  }

  /** `part`: a folder of its own for a run that is not the session's main one. */
  async run(shape: LoadShape, part = ""): Promise<GhzRun> {
    const { ghz, kind, target, log, signal } = this.options;
    const plan: GhzPlan = { ...shape, name: `urna ${part === "" ? kind : `${kind}, ${part}`}` };
    const data = voteData(plan.call, plan.votesPerCall, {
      electionId: this.electionId,
      voterPrefix: part === "" ? kind : part,
      keyPrefix: randomBytes(keyPrefixBytes).toString("base64"),
    });
    log(`${plan.name}: ${describeLoad(plan)}`);
    const run = await runGhz({ ghz, plan, target, data, folder: join(this.folder, part), log, signal });
    signal.throwIfAborted();
    this.note(sentBy(plan, run.report));
    return run;
  }

  /** Votes of this election that ghz has not sent. */
  note(votes: SentVotes): void {
    this.#sent.push(votes);
  }

  /** Calls a second that the router answers OK in a closed loop. */
  async calibrate(shape: LoadShape): Promise<number> {
    const concurrency = Math.max(
      shape.connections,
      shape.votesPerCall === 1 ? calibrationCalls.single : calibrationCalls.batch,
    );
    const load = { kind: "closed", concurrency } as const;
    const { report } = await this.run({ ...shape, seconds: calibrationSeconds, load }, "calibration");
    const rated = Math.round(fatesOf(report).accepted / report.seconds);
    if (rated === 0) throw new GhzRefusal("the router accepted no vote in the calibration: nothing to rate");
    this.options.log(
      `rated: ${rated.toLocaleString("en-US")} calls/s were answered OK in a closed loop of ${concurrency}`,
    );
    return rated;
  }

  /** Waits for the tally, counts, compares. */
  async end(): Promise<SessionEnd> {
    const { target } = this.options;
    const votes = sumOfSent(this.#sent);
    const outcomes = outcomesBetween(this.#counters, await readCounters(target.routerMetrics));
    const min = Math.max(votes.acceptedMin, Math.min(votes.acceptedMax, outcomes?.get("recorded") ?? 0));
    const counted = await countElection(target, this.electionId, { min, max: votes.acceptedMax }, countLimitMs);
    const checks = [...countChecks(votes, outcomes, counted), await this.#processCheck()];
    return { votes, outcomes, counted, checks };
  }

  async #processCheck(): Promise<Check> {
    const { target } = this.options;
    const now = await readPids(target.dir);
    const running = [...target.pids].filter(([, pid]) => pid !== 0);
    const changed = running.filter(([name, pid]) => now.get(name) !== pid || !isAlive(pid));
    return {
      title: "no process died",
      state: changed.length === 0 ? "passed" : "failed",
      says: changed.length === 0 ? `${running.length} processes` : changed.map(([name]) => name).join(", "),
    };
  }
}

function describeLoad({ call, votesPerCall, load, seconds, connections }: GhzPlan): string {
  const votes = votesPerCall === 1 ? "" : ` of ${votesPerCall} votes`;
  const how =
    load.kind === "closed"
      ? `${load.concurrency} under way`
      : `${load.callsPerSecond.toLocaleString("en-US")} a second`;
  return `${call}${votes}, ${how}, ${connections} connections, ${seconds} s`;
}

/** "20261125-183000": in file names and in election ids. */
function timeName(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
}
