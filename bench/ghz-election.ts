/** A fresh election for a load test: made, opened, and at the end counted three ways. */

import type { GhzTarget } from "#bench/ghz-target.ts";
import { GhzRefusal } from "#bench/ghz-target.ts";
import { answerOrNothing, recountOf } from "#bench/story-tally.ts";
import { Workload } from "#bench/workload.ts";
import { WaitTimeoutError, waitFor } from "#deploy/wait-for.ts";
import { CallError } from "#mesh/call-error.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

const callLimitMs = 15_000;
const tallyPollMs = 200;
/** A tally that stands still for so long has all that there is: frames come ten times a second. */
const stillMs = 2_000;

export type Counted = {
  /** Ballots in the tally. */
  readonly tallied: number;
  /** Rows of votes, over all shards, that the recount found; undefined when there was none. */
  readonly rows: number | undefined;
  /** The recount agrees with the tally, in every region and option. */
  readonly recountMatches: boolean;
};

/** Throws GhzRefusal when the cluster does not take it. */
export async function openElection(target: GhzTarget, electionId: string): Promise<void> {
  const client = createClient(ElectionService, target.router, target.identity);
  const options = { headers: { authorization: `Bearer ${target.adminToken}` }, deadlineMs: callLimitMs };
  try {
    await client.createElection({ definition: new Workload(electionId).definition }, options);
    await client.openElection({ electionId }, options);
  } catch (error) {
    if (!(error instanceof CallError || error instanceof RejectionError)) throw error;
    throw new GhzRefusal(`the election could not be opened at ${target.router}: ${error.message}`);
  } finally {
    client.close();
  }
}

/** How many ballots the tally should come to have. */
export type BallotBounds = { readonly min: number; readonly max: number };

/** Waits until the tally has all that it can have, or enough and stands still; then counts the rows. */
export async function countElection(
  target: GhzTarget,
  electionId: string,
  bounds: BallotBounds,
  limitMs: number,
): Promise<Counted> {
  const client = createClient(TallyService, target.router, target.identity);
  try {
    const tallied = await untilStill(client, electionId, bounds, limitMs);
    const recount = await answerOrNothing(recountOf(client, electionId));
    return {
      tallied,
      rows: recount === undefined ? undefined : Number(recount.rowsCounted),
      recountMatches: recount?.matches === true,
    };
  } finally {
    client.close();
  }
}

async function untilStill(
  client: Client<typeof TallyService>,
  electionId: string,
  { min, max }: BallotBounds,
  limitMs: number,
): Promise<number> {
  let [seen, sinceMs] = [-1, 0];
  const still = async () => {
    const answer = await answerOrNothing(client.getTally({ electionId }, { deadlineMs: callLimitMs }));
    if (answer?.region === undefined) return undefined;
    const ballots = Number(answer.region.ballots);
    if (ballots !== seen) [seen, sinceMs] = [ballots, performance.now()];
    const settled = ballots >= max || performance.now() - sinceMs >= stillMs;
    return answer.cut?.missing.length === 0 && ballots >= min && settled ? ballots : undefined;
  };
  try {
    return await waitFor("the tally to have every accepted vote", limitMs, still, tallyPollMs);
  } catch (error) {
    // What it lacks is for the checks to say.
    if (error instanceof WaitTimeoutError && seen >= 0) return seen;
    throw error;
  }
}
