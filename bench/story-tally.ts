/** The tally of a story's election against the ledger of acknowledgements, and the recount of the rows. */

import type { TallySnapshot } from "#bench/tally-check.ts";
import { readSnapshot } from "#bench/tally-check.ts";
import type { VoteLedger } from "#bench/vote-ledger.ts";
import { CallError } from "#mesh/call-error.ts";
import type { Client } from "#mesh/grpc-client.ts";
import type { RecountResult, RegionTally, TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

/** Undefined while the tally, or a router, is being started again. */
export function snapshotOrNothing(
  client: Client<typeof TallyService>,
  electionId: string,
): Promise<TallySnapshot | undefined> {
  return answerOrNothing(readSnapshot(client, electionId));
}

/** Undefined where asking again may help. */
export async function answerOrNothing<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (error instanceof CallError || (error instanceof RejectionError && error.retryable)) return undefined;
    throw error;
  }
}

/** Throws RejectionError when the tally refuses. */
export async function recountOf(client: Client<typeof TallyService>, electionId: string): Promise<RecountResult> {
  for await (const { part } of client.recount({ electionId }, { deadlineMs: 20_000 })) {
    if (part.case === "result") return part.value;
  }
  throw new Error("a recount without a result");
}

/** "leaf what" → how many voters of this election were given a receipt for it; "leaf ballots" for all of a leaf. */
export function acknowledgedCounts(ledger: VoteLedger, electionId: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const voters = new Set<string>();
  for (const { vote, outcome } of ledger.entries) {
    if (vote.electionId !== electionId || !("receipt" in outcome) || voters.has(vote.voterId)) continue;
    voters.add(vote.voterId);
    const choices = vote.selections.flatMap(({ optionIds }) => optionIds);
    for (const what of ["ballots", ...(choices.length === 0 ? ["undervotes"] : choices)]) {
      const key = `${vote.regionId} ${what}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return counts;
}

/** The same of the tally's leaves. */
export function talliedCounts(leaves: readonly RegionTally[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const set = (key: string, n: bigint) => {
    if (n > 0n) counts.set(key, Number(n));
  };
  for (const { regionId, ballots, contests } of leaves) {
    set(`${regionId} ballots`, ballots);
    for (const { options, undervotes } of contests) {
      set(`${regionId} undervotes`, undervotes);
      for (const { optionId, count } of options) set(`${regionId} ${optionId}`, count);
    }
  }
  return counts;
}
