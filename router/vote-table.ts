/**
 * The votes that the router holds, each between its arrival and its one outcome (I4). A vote is a row of a few typed columns,
 * not an object: tens of thousands are in flight, and objects that live so long are copied and promoted by the garbage
 * collector, which was a quarter of the router's work.
 *
 * A row is taken when a vote is admitted and free again once the vote is settled and held by nobody. So a row may be named by
 * its owner while the vote is unsettled, and by whoever holds it (a queue, a frame, a look-up) while they do; by nobody else.
 *
 * A row knows whether its vote may have been stored already: from then on only an answer that a shard gives after looking for
 * it is final, anything else is OUTCOME_UNKNOWN.
 */
import type { TraceSpan } from "#mesh/tracing.ts";
import { nullifierBytes } from "#proto/limits.ts";
import type { RejectionReason } from "#proto/rejections.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { Admission } from "./admission.ts";
import { ballotBytes, writeBallot } from "./ballot-form.ts";
import type { CachedElection } from "./election-cache.ts";
import { identityBytes } from "./nullifier.ts";

/** The log of a shard, as receipts name it. */
export type ShardLog = { readonly origin: string; readonly shardId: number };

/** Who waits for a vote's outcome: called exactly once a vote. `index` is the owner's own number for the vote. */
export interface VoteOwner {
  /** Its votes are answered together: one that waits for a shard which stands still keeps the others' outcomes back. */
  readonly answersTogether?: boolean;
  /** Of a call that is recorded: the frame that is made now, with votes of it, is a span of it. */
  traceFrame?(): TraceSpan | undefined;
  accepted(index: number, electionId: string, log: ShardLog, leafIndex: number, repeat: boolean): void;
  refused(index: number, rejection: RejectionError): void;
}

/** What `admit` returns when there is no room. */
export const noRow = -1;

const flag = {
  settled: 1,
  /** In a queue, in a frame, or waiting for a look-up. */
  held: 2,
  /** Sent, and the answer may still come. */
  inFlight: 4,
  /** Sent before, on a stream whose answer never came or was that it is not known. */
  maybeStored: 8,
  keyless: 16,
} as const;

/** Bytes of a canonical ballot that a row has room for; the few that are longer are kept beside the table. */
const inlineBallotBytes = 32;

const nullifierWords = nullifierBytes / 4;
const identityWords = identityBytes / 4;

export class VoteTable {
  readonly #admission: Admission;
  readonly #owners: (VoteOwner | undefined)[] = [];
  readonly #elections: (CachedElection | undefined)[] = [];
  /** The vote's number at its owner. */
  readonly #indexes: Uint32Array;
  readonly #weights: Uint32Array;
  readonly #answerAtMs: Float64Array;
  readonly #flags: Uint8Array;
  readonly #sends: Uint16Array;
  /** The newest batch that its shard had answered before the vote was first sent. */
  readonly #answeredBefore: Float64Array;
  readonly #regions: Uint16Array;
  /** Nullifier and key hash, one after the other; as words, because those are copied four times as fast. */
  readonly #identities: Buffer;
  readonly #identityWords: Int32Array;
  readonly #ballotLengths: Uint16Array;
  readonly #ballots: Uint8Array;
  readonly #longBallots = new Map<number, Uint8Array>();
  /** Rows that are free again, the one to be taken next at the end; rows from `#unused` on were never taken. */
  readonly #free: Uint32Array;
  #freeCount = 0;
  #unused = 0;

  /** What is not yet used of the columns costs no memory: the system maps a page when it is first written. */
  constructor(admission: Admission) {
    const { votesMax } = admission;
    this.#admission = admission;
    this.#indexes = new Uint32Array(votesMax);
    this.#weights = new Uint32Array(votesMax);
    this.#answerAtMs = new Float64Array(votesMax);
    this.#flags = new Uint8Array(votesMax);
    this.#sends = new Uint16Array(votesMax);
    this.#answeredBefore = new Float64Array(votesMax);
    this.#regions = new Uint16Array(votesMax);
    this.#identities = Buffer.alloc(votesMax * identityBytes);
    this.#identityWords = new Int32Array(
      this.#identities.buffer,
      this.#identities.byteOffset,
      votesMax * identityWords,
    );
    this.#ballotLengths = new Uint16Array(votesMax);
    this.#ballots = new Uint8Array(votesMax * inlineBallotBytes);
    this.#free = new Uint32Array(votesMax);
  }

  /** False while `admit` would refuse every vote. */
  get hasRoom(): boolean {
    return this.#admission.hasRoom;
  }

  /** The row of a new vote, unsettled and held by nobody; `noRow` when the router is full: the caller answers OVERLOADED (I9). */
  admit(owner: VoteOwner, index: number, weight: number, answerAtMs: number, keyless: boolean): number {
    if (!this.#admission.take(weight)) return noRow;
    const row = this.#freeCount > 0 ? (this.#free[--this.#freeCount] ?? noRow) : this.#unused++;
    this.#owners[row] = owner;
    this.#elections[row] = undefined;
    this.#indexes[row] = index;
    this.#weights[row] = weight;
    this.#answerAtMs[row] = answerAtMs;
    this.#flags[row] = keyless ? flag.keyless : 0;
    this.#sends[row] = 0;
    return row;
  }

  /** The vote has been checked: its ballot is the one of `checkBallot`. Returns where its nullifier and key hash go. */
  prepare(row: number, election: CachedElection, region: number): number {
    this.#elections[row] = election;
    this.#regions[row] = region;
    const length = ballotBytes();
    this.#ballotLengths[row] = length;
    if (length <= inlineBallotBytes) writeBallot(this.#ballots, row * inlineBallotBytes);
    else {
      const ballot = new Uint8Array(length);
      writeBallot(ballot, 0);
      this.#longBallots.set(row, ballot);
    }
    return row * identityBytes;
  }

  /** Nullifiers and key hashes; a row's are at the offset that `identityAt` says. */
  get identities(): Buffer {
    return this.#identities;
  }

  identityAt(row: number): number {
    return row * identityBytes;
  }

  /** Undefined until the vote is prepared. */
  election(row: number): CachedElection | undefined {
    return this.#elections[row];
  }

  /** Of the first of the votes whose call is recorded. */
  traceOf(rows: Uint32Array): TraceSpan | undefined {
    let last: VoteOwner | undefined;
    for (const row of rows) {
      const owner = this.#owners[row];
      if (owner === last) continue;
      const trace = owner?.traceFrame?.();
      if (trace !== undefined) return trace;
      last = owner;
    }
    return undefined;
  }

  region(row: number): number {
    return this.#regions[row] ?? 0;
  }

  answerAtMs(row: number): number {
    return this.#answerAtMs[row] ?? 0;
  }

  ballotLength(row: number): number {
    return this.#ballotLengths[row] ?? 0;
  }

  sends(row: number): number {
    return this.#sends[row] ?? 0;
  }

  answeredBefore(row: number): number {
    return this.#answeredBefore[row] ?? 0;
  }

  settled(row: number): boolean {
    return this.#has(row, flag.settled);
  }

  keyless(row: number): boolean {
    return this.#has(row, flag.keyless);
  }

  /** Sent before, on a stream whose answer never came or was that it is not known. */
  resent(row: number): boolean {
    return this.#has(row, flag.maybeStored);
  }

  copyIdentity(row: number, nullifiers: Int32Array, keyHashes: Int32Array, index: number): void {
    const words = this.#identityWords;
    let from = row * identityWords;
    const to = index * nullifierWords;
    for (let i = 0; i < nullifierWords; i++) nullifiers[to + i] = words[from++] ?? 0;
    for (let i = 0; i < nullifierWords; i++) keyHashes[to + i] = words[from++] ?? 0;
  }

  copyBallot(row: number, target: Uint8Array, offset: number): void {
    const length = this.ballotLength(row);
    if (length > inlineBallotBytes) {
      target.set(this.#longBallots.get(row) ?? noBallot, offset);
      return;
    }
    const from = row * inlineBallotBytes;
    for (let i = 0; i < length; i++) target[offset + i] = this.#ballots[from + i] ?? 0;
  }

  hold(row: number): void {
    this.#set(row, flag.held);
  }

  /** Whoever held it does so no more. False when the vote is settled: its row is let go of for good. */
  release(row: number): boolean {
    this.#clear(row, flag.held);
    if (!this.settled(row)) return true;
    this.#letGo(row);
    return false;
  }

  sent(row: number, newestAnsweredBatch: number): void {
    const sends = this.sends(row);
    if (sends === 0) this.#answeredBefore[row] = newestAnsweredBatch;
    this.#sends[row] = sends + 1;
    this.#set(row, flag.inFlight);
  }

  /** The shard said that this send stored nothing. */
  answered(row: number): void {
    this.#clear(row, flag.inFlight);
  }

  /** The send's answer never came, or was that it is not known. */
  lost(row: number): void {
    this.#clear(row, flag.inFlight);
    this.#set(row, flag.maybeStored);
  }

  accept(row: number, log: ShardLog, leafIndex: number, repeat: boolean): void {
    if (this.settled(row)) return;
    const owner = this.#owners[row];
    const index = this.#indexes[row] ?? 0;
    const electionId = this.#elections[row]?.electionId ?? "";
    this.#settle(row);
    owner?.accepted(index, electionId, log, leafIndex, repeat);
  }

  /** A refusal that a shard gave after looking for the vote, or that came before it was ever sent. */
  refuse(row: number, rejection: RejectionError): void {
    if (this.settled(row)) return;
    const owner = this.#owners[row];
    const index = this.#indexes[row] ?? 0;
    this.#settle(row);
    owner?.refused(index, rejection);
  }

  /** A refusal of one send alone: final only if no earlier send can have stored the vote. */
  refuseSend(row: number, refusal: RejectionReason | RejectionError): void {
    const isUnknown = this.#has(row, flag.maybeStored | flag.inFlight);
    if (isUnknown) this.refuse(row, plainRejection("OUTCOME_UNKNOWN"));
    else this.refuse(row, typeof refusal === "string" ? plainRejection(refusal) : refusal);
  }

  /** Its shard stands still: a vote that keeps others' outcomes back is waited for no longer. */
  giveUp(row: number, refusal: RejectionError): void {
    if (this.#owners[row]?.answersTogether === true) this.refuseSend(row, refusal);
  }

  /** Its time is over. */
  expire(row: number): void {
    this.refuseSend(row, "SHARD_UNAVAILABLE");
  }

  #settle(row: number): void {
    this.#set(row, flag.settled);
    if (!this.#has(row, flag.held)) this.#letGo(row);
  }

  #letGo(row: number): void {
    if (this.#owners[row] === undefined) throw new Error("a row is let go of twice");
    this.#admission.letGo(this.#weights[row] ?? 0);
    this.#owners[row] = undefined;
    this.#elections[row] = undefined;
    if (this.ballotLength(row) > inlineBallotBytes) this.#longBallots.delete(row);
    this.#ballotLengths[row] = 0;
    this.#free[this.#freeCount++] = row;
  }

  #has(row: number, flags: number): boolean {
    return ((this.#flags[row] ?? 0) & flags) !== 0;
  }

  #set(row: number, flags: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) | flags;
  }

  #clear(row: number, flags: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) & ~flags;
  }
}

const noBallot = new Uint8Array();

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
