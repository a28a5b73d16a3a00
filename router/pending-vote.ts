/**
 * One vote between its arrival and its one outcome (I4). It knows whether it may have been stored already: from then on
 * only an answer that a shard gives after looking for it is final, anything else is OUTCOME_UNKNOWN.
 */
import type { Receipt, Vote } from "#proto/generated/urna/v1/vote_pb.js";
import { nullifierBytes } from "#proto/limits.ts";
import type { RejectionReason } from "#proto/rejections.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { Admission } from "./admission.ts";
import type { CachedElection } from "./election-cache.ts";
import { identityBytes } from "./nullifier.ts";

/** Who waits for a vote's outcome: called exactly once a vote. */
export interface VoteOwner {
  accepted(index: number, receipt: Receipt, repeat: boolean): void;
  refused(index: number, rejection: RejectionError): void;
}

/** Bytes that a vote costs while it waits, beside its strings and its ballot. */
const voteOverheadBytes = 600;
const selectionOverheadBytes = 200;

export class PendingVote {
  readonly owner: VoteOwner;
  /** Which vote of its owner it is. */
  readonly index: number;
  readonly electionId: string;
  readonly keyless: boolean;
  /** Until it is checked: a decoded vote is large, and a router holds thousands. */
  source: Vote | undefined;
  /** By performance.now(). */
  readonly answerAtMs: number;
  readonly bytes: number;
  readonly #admission: Admission;

  election: CachedElection | undefined;
  /** Nullifier, key hash and canonical ballot, one after the other. */
  columns: Buffer = emptyColumns;
  region = 0;
  /** The newest batch that its shard had answered before the vote was first sent. */
  answeredBefore = 0n;

  /** Sends whose answer may still come, or came as unknown, or never came. */
  #sends = 0;
  #inFlight = false;
  #maybeStored = false;
  #settled = false;
  /** In a queue, in a frame, or waiting for a look-up. */
  #held = false;

  private constructor(owner: VoteOwner, index: number, source: Vote, answerAtMs: number, admission: Admission) {
    this.owner = owner;
    this.index = index;
    this.electionId = source.electionId;
    this.keyless = source.idempotencyKey.length === 0;
    this.source = source;
    this.answerAtMs = answerAtMs;
    this.bytes = weightOf(source);
    this.#admission = admission;
  }

  /** Undefined when the router is full; the caller answers OVERLOADED. */
  static admit(
    owner: VoteOwner,
    index: number,
    source: Vote,
    answerAtMs: number,
    admission: Admission,
  ): PendingVote | undefined {
    const vote = new PendingVote(owner, index, source, answerAtMs, admission);
    return admission.take(vote.bytes) ? vote : undefined;
  }

  get settled(): boolean {
    return this.#settled;
  }

  /** Sent before, on a stream whose answer never came or was that it is not known. */
  get resent(): boolean {
    return this.#maybeStored;
  }

  get sends(): number {
    return this.#sends;
  }

  get ballotLength(): number {
    return this.columns.length - identityBytes;
  }

  get nullifier(): Uint8Array {
    return this.columns.subarray(0, nullifierBytes);
  }

  hold(): void {
    this.#held = true;
  }

  /** Whoever held it does so no more. A settled vote is let go of for good. */
  release(): void {
    this.#held = false;
    if (this.#settled) this.#admission.letGo(this.bytes);
  }

  sent(newestAnsweredBatch: bigint): void {
    if (this.#sends === 0) this.answeredBefore = newestAnsweredBatch;
    this.#sends += 1;
    this.#inFlight = true;
  }

  /** The shard said that this send stored nothing. */
  answered(): void {
    this.#inFlight = false;
  }

  /** The send's answer never came, or was that it is not known. */
  lost(): void {
    this.#inFlight = false;
    this.#maybeStored = true;
  }

  accept(receipt: Receipt, repeat: boolean): void {
    if (this.#settled) return;
    this.#settle();
    this.owner.accepted(this.index, receipt, repeat);
  }

  /** A refusal that a shard gave after looking for the vote, or that came before it was ever sent. */
  refuse(rejection: RejectionError): void {
    if (this.#settled) return;
    this.#settle();
    this.owner.refused(this.index, rejection);
  }

  /** A refusal of one send alone: final only if no earlier send can have stored the vote. */
  refuseSend(reason: RejectionReason): void {
    this.refuse(plainRejection(this.#maybeStored || this.#inFlight ? "OUTCOME_UNKNOWN" : reason));
  }

  /** Its time is over. */
  expire(): void {
    this.refuseSend("SHARD_UNAVAILABLE");
  }

  #settle(): void {
    this.#settled = true;
    if (!this.#held) this.#admission.letGo(this.bytes);
  }
}

const emptyColumns = Buffer.alloc(identityBytes);

/** One error a reason: a thousand refused votes of a call need no thousand stack traces. */
const plainRejections = new Map<RejectionReason, RejectionError>();

export function plainRejection(reason: RejectionReason): RejectionError {
  let rejection = plainRejections.get(reason);
  if (rejection === undefined) {
    rejection = new RejectionError(reason);
    plainRejections.set(reason, rejection);
  }
  return rejection;
}

function weightOf({ electionId, regionId, selections, voter }: Vote): number {
  let bytes = voteOverheadBytes + electionId.length + regionId.length + (voter.value?.length ?? 0);
  for (const { contestId, optionIds } of selections) {
    bytes += selectionOverheadBytes + contestId.length;
    for (const optionId of optionIds) bytes += optionId.length;
  }
  return bytes;
}
