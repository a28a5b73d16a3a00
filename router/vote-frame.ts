/** A frame of votes for a shard, column by column, and what its answer means for each vote. */
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { frameVotesMax, hopMarginMs, nullifierBytes } from "#proto/limits.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import type { RecordAnswer } from "#proto/record-frame.ts";
import { encodeRecordFrame } from "#proto/record-frame.ts";
import type { RejectionError, RejectionReason } from "#proto/rejections.ts";
import type { FrameVotes } from "./vote-queue.ts";
import type { ShardLog, VoteTable } from "./vote-table.ts";
import { plainRejection } from "./vote-table.ts";

/** The columns of the frame that is being made: room for the largest. */
const nullifierWords = new Int32Array((frameVotesMax * nullifierBytes) / 4);
const keyHashWords = new Int32Array(nullifierWords.length);
const regions = new Uint32Array(frameVotesMax);
const ballotLengths = new Uint32Array(frameVotesMax);
const deadlineMs = new Uint32Array(frameVotesMax);
let ballots = new Uint8Array(frameVotesMax * 8);

export type FrameHead = {
  readonly frameId: number;
  readonly mapEpoch: number;
  readonly nowMs: number;
  readonly traceparent?: string | undefined;
};

/** A serialised RecordVotesRequest. */
export function encodeFrame(
  table: VoteTable,
  { election, rows }: FrameVotes,
  { frameId, mapEpoch, nowMs, traceparent = "" }: FrameHead,
): Buffer {
  const votes = rows.length;
  let ballotsEnd = 0;
  for (let i = 0; i < votes; i++) {
    const row = rows[i] ?? 0;
    table.copyIdentity(row, nullifierWords, keyHashWords, i);
    regions[i] = table.region(row);
    const length = table.ballotLength(row);
    ballotLengths[i] = length;
    growBallots(ballotsEnd, length);
    table.copyBallot(row, ballots, ballotsEnd);
    ballotsEnd += length;
    deadlineMs[i] = Math.max(0, Math.floor(table.answerAtMs(row) - nowMs - hopMarginMs));
  }
  return encodeRecordFrame({
    frameId,
    mapEpoch,
    electionId: election.electionId,
    definitionHash: election.definitionHash,
    nullifiers: new Uint8Array(nullifierWords.buffer, 0, votes * nullifierBytes),
    keyHashes: new Uint8Array(keyHashWords.buffer, 0, votes * nullifierBytes),
    regions: regions.subarray(0, votes),
    ballots: ballots.subarray(0, ballotsEnd),
    ballotLengths: ballotLengths.subarray(0, votes),
    deadlineMs: deadlineMs.subarray(0, votes),
    traceparent,
  });
}

function growBallots(used: number, wanted: number): void {
  if (used + wanted <= ballots.length) return;
  const larger = new Uint8Array(2 * (used + wanted));
  larger.set(ballots.subarray(0, used));
  ballots = larger;
}

/** Votes of a frame that the shard has looked at, and not merely turned away. */
export function lookedAt({ outcomes }: RecordAnswer): number {
  let votes = 0;
  for (let i = 0; i < outcomes.length; i++) votes += turnedAway[outcomes.at(i)] === 1 ? 0 : 1;
  return votes;
}

const turnedAway = new Uint8Array(32);
for (const outcome of [
  RecordOutcome.OVERLOADED,
  RecordOutcome.DEADLINE_PASSED,
  RecordOutcome.UNKNOWN,
  RecordOutcome.WRONG_SHARD,
]) {
  turnedAway[outcome] = 1;
}

/** Rows of votes that a frame's answer leaves unsettled, by what must happen before they are sent again. */
export type Unsettled = {
  readonly wrongShard: number[];
  readonly wrongDefinition: number[];
  readonly unknown: number[];
};

/**
 * The votes are still held. `overloaded` says when to come back to the shard. Throws when the answer does not fit the frame: a
 * fault of the shard.
 */
export function settleFrame(
  table: VoteTable,
  rows: Uint32Array,
  log: ShardLog,
  answer: RecordAnswer,
  overloaded: () => RejectionError,
): Unsettled {
  const { outcomes, leafIndexes, batches } = answer;
  const votes = rows.length;
  if (outcomes.length !== votes || leafIndexes.length !== votes || batches.length !== votes) {
    throw new Error(`a frame of ${votes} votes got ${outcomes.length} outcomes (I4)`);
  }
  const unsettled: Unsettled = { wrongShard: [], wrongDefinition: [], unknown: [] };
  for (let i = 0; i < votes; i++) {
    const row = rows[i] ?? 0;
    // Its caller was answered at the deadline.
    if (table.settled(row)) continue;
    const outcome: RecordOutcome = outcomes.at(i);
    if (outcome === RecordOutcome.RECORDED) table.accept(row, log, leafIndexes.at(i), false);
    else if (outcome === RecordOutcome.REPEAT) {
      table.accept(row, log, leafIndexes.at(i), !storedByThisCall(table, row, batches.at(i)));
    } else if (outcome === RecordOutcome.OVERLOADED) {
      table.answered(row);
      table.refuseSend(row, overloaded());
    } else settleRefused(table, row, outcome, unsettled);
  }
  return unsettled;
}

/**
 * A vote that was sent more than once within this call and is then found stored was, as far as batches tell, stored by this
 * call: in a batch later than every batch that the shard had answered before the first send.
 */
function storedByThisCall(table: VoteTable, row: number, batch: number): boolean {
  return table.resent(row) && batch > table.answeredBefore(row);
}

function settleRefused(table: VoteTable, row: number, outcome: RecordOutcome, unsettled: Unsettled): void {
  switch (outcome) {
    case RecordOutcome.ALREADY_VOTED: {
      // Without a key the vote that was found may be this one, sent before: only its voter can tell.
      const mayBeItself = table.resent(row) && table.keyless(row);
      table.refuse(row, plainRejection(mayBeItself ? "OUTCOME_UNKNOWN" : "ALREADY_VOTED"));
      return;
    }
    case RecordOutcome.NOT_OPEN:
    case RecordOutcome.CLOSED:
      // The shard looks for a repeat before it refuses (I3), so no earlier send has stored the vote.
      table.refuse(row, plainRejection(outcome === RecordOutcome.CLOSED ? "ELECTION_CLOSED" : "ELECTION_NOT_OPEN"));
      return;
    case RecordOutcome.WRONG_SHARD:
      table.answered(row);
      unsettled.wrongShard.push(row);
      return;
    case RecordOutcome.WRONG_DEFINITION:
      table.answered(row);
      unsettled.wrongDefinition.push(row);
      return;
    case RecordOutcome.UNKNOWN:
      table.lost(row);
      unsettled.unknown.push(row);
      return;
    default:
      table.answered(row);
      table.refuseSend(row, refusalsBeforeLooking[outcome] ?? "INTERNAL");
  }
}

/** What a shard says before it has looked for a repeat. */
const refusalsBeforeLooking: Readonly<Partial<Record<RecordOutcome, RejectionReason>>> = {
  [RecordOutcome.UNKNOWN_ELECTION]: "UNKNOWN_ELECTION",
  [RecordOutcome.DEADLINE_PASSED]: "DEADLINE_PASSED",
};

/** Whose log it is, whatever its generation. Throws when the text names none: a fault of the shard. */
export function shardOfLog(logOrigin: string): number {
  const log = parseLogOrigin(logOrigin);
  if (log === undefined) throw new Error(`"${logOrigin}" is not the origin of a log`);
  return log.shardId;
}
