/** A frame of votes for a shard, column by column, and what its answer means for each vote. */
import { create } from "@bufbuild/protobuf";
import type { RecordVotesRequest, RecordVotesResponse } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome, RecordVotesRequestSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { Receipt } from "#proto/generated/urna/v1/vote_pb.js";
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";
import type { RejectionReason } from "#proto/rejections.ts";
import { identityBytes } from "./nullifier.ts";
import type { PendingVote } from "./pending-vote.ts";
import { plainRejection } from "./pending-vote.ts";
import type { FrameVotes } from "./vote-queue.ts";

export function encodeFrame(
  { election, votes }: FrameVotes,
  frameId: number,
  mapEpoch: number,
  nowMs: number,
): RecordVotesRequest {
  const nullifiers = Buffer.allocUnsafe(votes.length * nullifierBytes);
  const keyHashes = Buffer.allocUnsafe(votes.length * keyHashBytes);
  const ballots = Buffer.allocUnsafe(votes.reduce((bytes, vote) => bytes + vote.ballotLength, 0));
  const regions: number[] = [];
  const ballotLengths: number[] = [];
  const deadlineMs: number[] = [];
  let index = 0;
  let ballotAt = 0;
  for (const { columns, region, ballotLength, answerAtMs } of votes) {
    columns.copy(nullifiers, index * nullifierBytes, 0, nullifierBytes);
    columns.copy(keyHashes, index * keyHashBytes, nullifierBytes, identityBytes);
    columns.copy(ballots, ballotAt, identityBytes);
    ballotAt += ballotLength;
    index += 1;
    regions.push(region);
    ballotLengths.push(ballotLength);
    deadlineMs.push(Math.max(0, Math.floor(answerAtMs - nowMs)));
  }
  return create(RecordVotesRequestSchema, {
    frameId: BigInt(frameId),
    mapEpoch: BigInt(mapEpoch),
    electionId: election.electionId,
    definitionHash: election.definitionHash,
    nullifiers,
    keyHashes,
    regions,
    ballots,
    ballotLengths,
    deadlineMs,
  });
}

/** Votes that a frame's answer leaves unsettled, by what must happen before they are sent again. */
export type Unsettled = {
  readonly wrongShard: PendingVote[];
  readonly wrongDefinition: PendingVote[];
  readonly unknown: PendingVote[];
};

/** Throws when the answer does not fit the frame: a fault of the shard. */
export function settleFrame(votes: readonly PendingVote[], answer: RecordVotesResponse): Unsettled {
  const { outcomes, leafIndexes, batches, logOrigin } = answer;
  if (outcomes.length !== votes.length || leafIndexes.length !== votes.length || batches.length !== votes.length) {
    throw new Error(`a frame of ${votes.length} votes got ${outcomes.length} outcomes (I4)`);
  }
  const shardId = shardOfLog(logOrigin);
  const unsettled: Unsettled = { wrongShard: [], wrongDefinition: [], unknown: [] };
  for (let i = 0; i < votes.length; i++) {
    const vote = votes[i];
    const outcome: RecordOutcome | undefined = outcomes[i];
    if (vote === undefined || outcome === undefined) continue;
    if (outcome === RecordOutcome.RECORDED || outcome === RecordOutcome.REPEAT) {
      const leafIndex = leafIndexes[i] ?? 0n;
      // A literal: `create` copies field by field, which costs more than all else that is done for a vote here.
      const receipt: Receipt = {
        $typeName: "urna.v1.Receipt",
        receiptId: formatReceiptId({ shardId, leafIndex }),
        electionId: vote.electionId,
        logOrigin,
        leafIndex,
      };
      vote.accept(receipt, outcome === RecordOutcome.REPEAT && !storedByThisCall(vote, batches[i] ?? 0n));
    } else settleRefused(vote, outcome, unsettled);
  }
  return unsettled;
}

/**
 * A vote that was sent more than once within this call and is then found stored was, as far as batches tell, stored by this
 * call: in a batch later than every batch that the shard had answered before the first send.
 */
function storedByThisCall(vote: PendingVote, batch: bigint): boolean {
  return vote.resent && batch > vote.answeredBefore;
}

function settleRefused(vote: PendingVote, outcome: RecordOutcome, unsettled: Unsettled): void {
  switch (outcome) {
    case RecordOutcome.ALREADY_VOTED:
      // Without a key the vote that was found may be this one, sent before: only its voter can tell.
      vote.refuse(plainRejection(vote.resent && vote.keyless ? "OUTCOME_UNKNOWN" : "ALREADY_VOTED"));
      return;
    case RecordOutcome.NOT_OPEN:
    case RecordOutcome.CLOSED:
      // The shard looks for a repeat before it refuses (I3), so no earlier send has stored the vote.
      vote.refuse(plainRejection(outcome === RecordOutcome.CLOSED ? "ELECTION_CLOSED" : "ELECTION_NOT_OPEN"));
      return;
    case RecordOutcome.WRONG_SHARD:
      vote.answered();
      unsettled.wrongShard.push(vote);
      return;
    case RecordOutcome.WRONG_DEFINITION:
      vote.answered();
      unsettled.wrongDefinition.push(vote);
      return;
    case RecordOutcome.UNKNOWN:
      vote.lost();
      unsettled.unknown.push(vote);
      return;
    default:
      vote.answered();
      vote.refuseSend(refusalsBeforeLooking[outcome] ?? "INTERNAL");
  }
}

/** What a shard says before it has looked for a repeat. */
const refusalsBeforeLooking: Readonly<Partial<Record<RecordOutcome, RejectionReason>>> = {
  [RecordOutcome.UNKNOWN_ELECTION]: "UNKNOWN_ELECTION",
  [RecordOutcome.OVERLOADED]: "OVERLOADED",
  [RecordOutcome.DEADLINE_PASSED]: "DEADLINE_PASSED",
};

/** A log's origin is "<deployment>/shard/<id>". */
export function shardOfLog(logOrigin: string): number {
  const shardId = Number(/\/shard\/(\d+)$/.exec(logOrigin)?.[1]);
  if (!Number.isSafeInteger(shardId)) throw new Error(`"${logOrigin}" is not the origin of a log`);
  return shardId;
}
