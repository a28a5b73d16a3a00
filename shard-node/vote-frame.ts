/**
 * Votes on their way from a router's frame to a batch. A frame is answered when its last vote is settled (I4). Its columns
 * stay as they came: a vote that waits is a place in them, so that a hundred thousand votes a second make little garbage.
 */
import type { RecordVotesRequest } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { frameVotesMax, keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import type { RecordOutcomes } from "#proto/record-frame.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { FrameTrace } from "./frame-trace.ts";
import type { SlotOwnership } from "./slot-ownership.ts";

/** What a settled vote is answered with. */
export type Settlement =
  | {
      readonly outcome: RecordOutcome.RECORDED | RecordOutcome.REPEAT;
      readonly leafIndex: number;
      readonly batch: number;
    }
  | { readonly outcome: Exclude<RecordOutcome, RecordOutcome.RECORDED | RecordOutcome.REPEAT> };

/** One vote, waiting. */
export class WaitingVote {
  readonly frame: WaitingFrame;
  readonly index: number;

  constructor(frame: WaitingFrame, index: number) {
    this.frame = frame;
    this.index = index;
  }

  /** 16 bytes of the frame's column. */
  get nullifier(): Buffer {
    return this.frame.nullifiers.subarray(this.index * nullifierBytes, (this.index + 1) * nullifierBytes);
  }

  /** 16 bytes of the frame's column; zeros without a key. */
  get keyHash(): Buffer {
    return this.frame.keyHashes.subarray(this.index * keyHashBytes, (this.index + 1) * keyHashBytes);
  }

  get ballot(): Buffer {
    return this.frame.ballots.subarray(this.ballotStart, this.ballotEnd);
  }

  get ballotStart(): number {
    return this.frame.ballotStarts[this.index] ?? 0;
  }

  get ballotEnd(): number {
    return this.frame.ballotStarts[this.index + 1] ?? 0;
  }

  get ballotLength(): number {
    return this.ballotEnd - this.ballotStart;
  }

  get region(): number {
    return this.frame.regions[this.index] ?? 0;
  }

  get deadlineAtMs(): number {
    return this.frame.deadlinesAtMs[this.index] ?? 0;
  }

  get settled(): boolean {
    return this.frame.isSettled(this.index);
  }

  settle(settlement: Settlement): void {
    const { outcome } = settlement;
    if (outcome === RecordOutcome.RECORDED || outcome === RecordOutcome.REPEAT) {
      this.frame.settle(this.index, outcome, settlement.leafIndex, settlement.batch);
    } else this.frame.settle(this.index, outcome, 0, 0);
  }

  /** As `settle` with RECORDED: the outcome of nearly all votes, without an object for each. */
  settleRecorded(leafIndex: number, batch: number): void {
    this.frame.settle(this.index, RecordOutcome.RECORDED, leafIndex, batch);
  }
}

/** The votes that still have time; the others are settled, and nothing of them is stored. */
export function settleExpired(votes: readonly WaitingVote[], nowMs = performance.now()): readonly WaitingVote[] {
  if (votes.every((vote) => vote.deadlineAtMs > nowMs)) return votes;
  const live: WaitingVote[] = [];
  for (const vote of votes) {
    if (vote.deadlineAtMs > nowMs) live.push(vote);
    else vote.settle({ outcome: RecordOutcome.DEADLINE_PASSED });
  }
  return live;
}

/** The votes whose slots are the shard's own (I6); the others are settled, and nothing of them is stored. */
export function settleMisplaced(votes: readonly WaitingVote[], ownership: SlotOwnership): readonly WaitingVote[] {
  const owned = ({ frame, index }: WaitingVote) => ownership.owns(frame.nullifiers, index * nullifierBytes);
  if (votes.every(owned)) return votes;
  const own: WaitingVote[] = [];
  for (const vote of votes) {
    if (owned(vote)) own.push(vote);
    else vote.settle({ outcome: RecordOutcome.WRONG_SHARD });
  }
  return own;
}

/** Settles what is not settled yet: the router sends it again to the present writer. */
export function leaveUnknown(votes: readonly WaitingVote[]): void {
  for (const vote of votes) if (!vote.settled) vote.settle({ outcome: RecordOutcome.UNKNOWN });
}

/** A frame received, with its answer as it fills. */
export class WaitingFrame {
  readonly electionId: string;
  /** As a latin1 string: cheap to compare. */
  readonly definitionHash: string;
  readonly nullifiers: Buffer;
  readonly keyHashes: Buffer;
  readonly regions: readonly number[];
  readonly ballots: Buffer;
  /** Where each ballot starts in `ballots`, and where the last one ends. */
  readonly ballotStarts: Uint32Array;
  /** By performance.now(), as all times here. */
  readonly receivedAtMs: number;
  readonly deadlinesAtMs: Float64Array;
  readonly votes: readonly WaitingVote[];
  /** Undefined, nearly always: of a frame that is not recorded. */
  trace: FrameTrace | undefined;
  readonly #frameId: number;
  readonly #outcomes: Uint8Array;
  readonly #leafIndexes: Float64Array;
  readonly #batches: Float64Array;
  #unsettled: number;
  readonly #answer: (outcomes: RecordOutcomes) => void;
  readonly #logOrigin: string;

  /** Throws RejectionError INVALID_REQUEST when the columns do not fit each other: a fault of the router. */
  constructor(
    request: RecordVotesRequest,
    logOrigin: string,
    receivedAtMs: number,
    answer: (outcomes: RecordOutcomes) => void,
  ) {
    const votes = demandColumns(request);
    this.electionId = request.electionId;
    this.definitionHash = asBuffer(request.definitionHash).toString("latin1");
    this.nullifiers = asBuffer(request.nullifiers);
    this.keyHashes = asBuffer(request.keyHashes);
    this.regions = request.regions;
    this.ballots = asBuffer(request.ballots);
    this.ballotStarts = startsOf(request.ballotLengths);
    this.receivedAtMs = receivedAtMs;
    this.deadlinesAtMs = Float64Array.from(request.deadlineMs, (deadlineMs) => receivedAtMs + deadlineMs);
    this.votes = request.regions.map((_, index) => new WaitingVote(this, index));
    this.#frameId = Number(request.frameId);
    this.#outcomes = new Uint8Array(votes);
    this.#leafIndexes = new Float64Array(votes);
    this.#batches = new Float64Array(votes);
    this.#unsettled = votes;
    this.#answer = answer;
    this.#logOrigin = logOrigin;
  }

  isSettled(index: number): boolean {
    return this.#outcomes[index] !== RecordOutcome.UNSPECIFIED;
  }

  /** Leaf index and batch are 0 but for RECORDED and REPEAT. */
  settle(index: number, outcome: RecordOutcome, leafIndex: number, batch: number): void {
    if (this.isSettled(index)) throw new Error("a vote was settled twice (I4)");
    this.#outcomes[index] = outcome;
    this.#leafIndexes[index] = leafIndex;
    this.#batches[index] = batch;
    this.#unsettled -= 1;
    if (this.#unsettled === 0) {
      this.trace?.answered(this.#outcomes);
      this.#answer({
        frameId: this.#frameId,
        outcomes: this.#outcomes,
        leafIndexes: this.#leafIndexes,
        batches: this.#batches,
        logOrigin: this.#logOrigin,
      });
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function startsOf(lengths: readonly number[]): Uint32Array {
  const starts = new Uint32Array(lengths.length + 1);
  for (let i = 0; i < lengths.length; i++) starts[i + 1] = (starts[i] ?? 0) + (lengths[i] ?? 0);
  return starts;
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
