/** Votes on their way from a router's frame to a batch. A frame is answered when its last vote is settled (I4). */

import { create } from "@bufbuild/protobuf";
import type { RecordVotesRequest, RecordVotesResponse } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome, RecordVotesResponseSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { frameVotesMax, keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

/** What a settled vote is answered with. */
export type Settlement =
  | {
      readonly outcome: RecordOutcome.RECORDED | RecordOutcome.REPEAT;
      readonly leafIndex: number;
      readonly batch: number;
    }
  | { readonly outcome: Exclude<RecordOutcome, RecordOutcome.RECORDED | RecordOutcome.REPEAT> };

type VoteColumns = Pick<WaitingVote, "nullifier" | "keyHash" | "region" | "ballot" | "deadlineAtMs">;

/** One vote, waiting. Bytes are kept as latin1 strings: cheap to compare, to hash and to write. */
export class WaitingVote {
  readonly frame: WaitingFrame;
  readonly index: number;
  readonly nullifier: string;
  readonly keyHash: string;
  readonly region: number;
  readonly ballot: string;
  readonly deadlineAtMs: number;

  constructor(frame: WaitingFrame, index: number, columns: VoteColumns) {
    this.frame = frame;
    this.index = index;
    this.nullifier = columns.nullifier;
    this.keyHash = columns.keyHash;
    this.region = columns.region;
    this.ballot = columns.ballot;
    this.deadlineAtMs = columns.deadlineAtMs;
  }

  get settled(): boolean {
    return this.frame.isSettled(this.index);
  }

  settle(settlement: Settlement): void {
    this.frame.settle(this.index, settlement);
  }
}

/** The votes that still have time; the others are settled, and nothing of them is stored. */
export function settleExpired(votes: readonly WaitingVote[], nowMs = performance.now()): WaitingVote[] {
  const live: WaitingVote[] = [];
  for (const vote of votes) {
    if (vote.deadlineAtMs > nowMs) live.push(vote);
    else vote.settle({ outcome: RecordOutcome.DEADLINE_PASSED });
  }
  return live;
}

/** Settles what is not settled yet: the router sends it again to the present writer. */
export function leaveUnknown(votes: readonly WaitingVote[]): void {
  for (const vote of votes) if (!vote.settled) vote.settle({ outcome: RecordOutcome.UNKNOWN });
}

/** A frame received, with its answer as it fills. */
export class WaitingFrame {
  readonly electionId: string;
  readonly definitionHash: string;
  readonly votes: readonly WaitingVote[];
  readonly #frameId: bigint;
  readonly #outcomes: RecordOutcome[];
  readonly #leafIndexes: bigint[];
  readonly #batches: bigint[];
  #unsettled: number;
  readonly #answer: (response: RecordVotesResponse) => void;
  readonly #logOrigin: string;

  /** Throws RejectionError INVALID_REQUEST when the columns do not fit each other: a fault of the router. */
  constructor(
    request: RecordVotesRequest,
    logOrigin: string,
    receivedAtMs: number,
    answer: (response: RecordVotesResponse) => void,
  ) {
    const votes = demandColumns(request);
    this.electionId = request.electionId;
    this.definitionHash = latin1(request.definitionHash);
    this.#frameId = request.frameId;
    this.#outcomes = new Array<RecordOutcome>(votes).fill(RecordOutcome.UNSPECIFIED);
    this.#leafIndexes = new Array<bigint>(votes).fill(0n);
    this.#batches = new Array<bigint>(votes).fill(0n);
    this.#unsettled = votes;
    this.#answer = answer;
    this.#logOrigin = logOrigin;
    this.votes = this.#readVotes(request, receivedAtMs);
  }

  isSettled(index: number): boolean {
    return this.#outcomes[index] !== RecordOutcome.UNSPECIFIED;
  }

  settle(index: number, settlement: Settlement): void {
    if (this.isSettled(index)) throw new Error("a vote was settled twice (I4)");
    this.#outcomes[index] = settlement.outcome;
    if (settlement.outcome === RecordOutcome.RECORDED || settlement.outcome === RecordOutcome.REPEAT) {
      this.#leafIndexes[index] = BigInt(settlement.leafIndex);
      this.#batches[index] = BigInt(settlement.batch);
    }
    this.#unsettled -= 1;
    if (this.#unsettled === 0) this.#answer(this.#response());
  }

  #response(): RecordVotesResponse {
    return create(RecordVotesResponseSchema, {
      frameId: this.#frameId,
      outcomes: this.#outcomes,
      leafIndexes: this.#leafIndexes,
      batches: this.#batches,
      logOrigin: this.#logOrigin,
    });
  }

  #readVotes(request: RecordVotesRequest, receivedAtMs: number): WaitingVote[] {
    const nullifiers = latin1(request.nullifiers);
    const keyHashes = latin1(request.keyHashes);
    const ballots = latin1(request.ballots);
    let ballotAt = 0;
    return request.regions.map((region, index) => {
      const ballotEnd = ballotAt + (request.ballotLengths[index] ?? 0);
      const ballot = ballots.slice(ballotAt, ballotEnd);
      ballotAt = ballotEnd;
      return new WaitingVote(this, index, {
        nullifier: nullifiers.slice(index * nullifierBytes, (index + 1) * nullifierBytes),
        keyHash: keyHashes.slice(index * keyHashBytes, (index + 1) * keyHashBytes),
        region,
        ballot,
        deadlineAtMs: receivedAtMs + (request.deadlineMs[index] ?? 0),
      });
    });
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

/** How many votes the frame holds. */
function demandColumns(request: RecordVotesRequest): number {
  const votes = request.regions.length;
  const ballotBytes = request.ballotLengths.reduce((sum, length) => sum + length, 0);
  const fits =
    votes > 0 &&
    votes <= frameVotesMax &&
    request.nullifiers.length === votes * nullifierBytes &&
    request.keyHashes.length === votes * keyHashBytes &&
    request.ballotLengths.length === votes &&
    request.deadlineMs.length === votes &&
    request.ballots.length === ballotBytes;
  if (!fits) throw new RejectionError("INVALID_REQUEST", "the columns of a frame do not have one entry a vote");
  return votes;
}
