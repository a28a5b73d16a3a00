/** Votes that were sent, what callers know of them, and what was counted: the comparison that a load test ends with. */

import type { GhzPlan } from "#bench/ghz-arguments.ts";
import type { Counted } from "#bench/ghz-election.ts";
import type { GhzReport } from "#bench/ghz-report.ts";
import { fatesOf } from "#bench/ghz-report.ts";

export type Check = {
  readonly title: string;
  /** "idle": there was nothing to look at, so nothing was checked. */
  readonly state: "passed" | "failed" | "idle";
  readonly says: string;
};

/** Bounds: a call of several votes may be OK and hold refusals, which ghz does not read. */
export type SentVotes = { readonly sent: number; readonly acceptedMin: number; readonly acceptedMax: number };

export function sentBy(plan: Pick<GhzPlan, "call" | "votesPerCall">, report: Pick<GhzReport, "statuses">): SentVotes {
  const { accepted, refused, unknown } = fatesOf(report);
  const { call, votesPerCall } = plan;
  // A stream may fail after it has been given receipts: none of its votes are certainly refused.
  const open = call === "CastVotes" ? refused + unknown : unknown;
  return {
    sent: (accepted + refused + unknown) * votesPerCall,
    acceptedMin: call === "CastVote" ? accepted : 0,
    acceptedMax: (accepted + open) * votesPerCall,
  };
}

export function sumOfSent(parts: readonly SentVotes[]): SentVotes {
  const sum = (of: (part: SentVotes) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    sent: sum(({ sent }) => sent),
    acceptedMin: sum(({ acceptedMin }) => acceptedMin),
    acceptedMax: sum(({ acceptedMax }) => acceptedMax),
  };
}

/** `outcomes`: what the routers say of the votes that they answered meanwhile, if they can be believed. */
export function countChecks(
  votes: SentVotes,
  outcomes: ReadonlyMap<string, number> | undefined,
  counted: Counted,
): Check[] {
  return [withinBounds(votes, counted), likeRouters(votes, outcomes, counted), likeRows(counted)];
}

function withinBounds({ acceptedMin, acceptedMax }: SentVotes, { tallied }: Counted): Check {
  const bounds =
    acceptedMin === acceptedMax
      ? `${show(acceptedMin)} accepted`
      : `at least ${show(acceptedMin)} and at most ${show(acceptedMax)} accepted, as far as ghz knows`;
  return {
    title: "what was accepted is counted, and nothing else",
    state: tallied >= acceptedMin && tallied <= acceptedMax ? "passed" : "failed",
    says: `tally ${show(tallied)}; ${bounds}`,
  };
}

function likeRouters(
  { sent }: SentVotes,
  outcomes: ReadonlyMap<string, number> | undefined,
  { tallied }: Counted,
): Check {
  const title = "the tally has what the routers gave receipts for";
  if (outcomes === undefined) {
    return { title, state: "idle", says: "a router could not be asked, or has begun to count anew" };
  }
  const answered = [...outcomes.values()].reduce((sum, votes) => sum + votes, 0);
  if (answered > sent) {
    return {
      title,
      state: "idle",
      says: `others vote here, too: ${show(answered)} answers, ${show(sent)} votes of ours`,
    };
  }
  const recorded = outcomes.get("recorded") ?? 0;
  const unknown = (outcomes.get("OUTCOME_UNKNOWN") ?? 0) + (sent - answered);
  const passed = tallied >= recorded && tallied <= recorded + unknown;
  const unsure = unknown === 0 ? "" : `, ${show(unknown)} of unknown outcome`;
  return {
    title,
    state: passed ? "passed" : "failed",
    says: `tally ${show(tallied)}; ${show(recorded)} receipts${unsure}`,
  };
}

function likeRows({ tallied, rows, recountMatches }: Counted): Check {
  const title = "a recount of the stored rows agrees";
  if (rows === undefined) return { title, state: "failed", says: "the recount did not end" };
  const passed = recountMatches && rows === tallied;
  return { title, state: passed ? "passed" : "failed", says: `${show(rows)} rows` };
}

function show(count: number): string {
  return count.toLocaleString("en-US");
}
