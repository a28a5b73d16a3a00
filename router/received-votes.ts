/**
 * Votes as they came, not checked yet: a few columns that are filled anew for every call, instead of objects for each vote
 * and its parts. Voter IDs and keys stay bytes; ids of elections, regions, contests and options are strings.
 */
import type { Selection, Vote } from "#proto/generated/urna/v1/vote_pb.js";
import { idempotencyKeyBytesMax, voterIdBytesMax } from "#proto/limits.ts";

export const voterKind = { none: 0, voterId: 1, ballotId: 2 } as const;

/** Bytes that a vote costs while the router holds it, beside its ids. */
const voteOverheadBytes = 600;
const selectionOverheadBytes = 200;
const optionOverheadBytes = 16;

/** Of an ID that is too long, what still shows that it is: one unit more than is allowed, in UTF-8. */
const voterIdUnitsMax = voterIdBytesMax + 1;
const bytesAVoteMax = voterIdUnitsMax * 3 + idempotencyKeyBytesMax;
/** Selections of one call whose room is kept for the next one. */
const selectionsKeptMax = 65_536;

const noBytes = new Uint8Array();
const noOwnBytes = Buffer.alloc(0);

export type VoteText = Pick<Vote, "electionId" | "voter" | "regionId" | "idempotencyKey"> & {
  readonly selections: readonly Pick<Selection, "contestId" | "optionIds">[];
};

export class ReceivedVotes {
  length = 0;
  readonly electionIds: string[] = [];
  readonly regionIds: string[] = [];
  voterKinds: Uint8Array;
  /** Where voter IDs and keys stand in `bytes`. */
  bytes: Uint8Array = noBytes;
  voterStarts: Uint32Array;
  voterEnds: Uint32Array;
  keyStarts: Uint32Array;
  keyLengths: Uint32Array;
  /** A vote's selections end where those of the next one start; so do a selection's options. */
  selectionEnds: Uint32Array;
  readonly contestIds: string[] = [];
  readonly optionEnds: number[] = [];
  readonly optionIds: string[] = [];
  /** What each vote weighs in the router's admission. */
  weights: Uint32Array;
  readonly capacity: number;
  #kept = false;
  #selections = 0;
  #options = 0;
  #ownBytes = noOwnBytes;
  #ownUsed = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.voterKinds = new Uint8Array(capacity);
    this.voterStarts = new Uint32Array(capacity);
    this.voterEnds = new Uint32Array(capacity);
    this.keyStarts = new Uint32Array(capacity);
    this.keyLengths = new Uint32Array(capacity);
    this.selectionEnds = new Uint32Array(capacity);
    this.weights = new Uint32Array(capacity);
  }

  /** Forgets what it holds. IDs and keys will stand in `bytes`, or in a buffer of its own for votes that are `add`ed. */
  clear(bytes: Uint8Array = noBytes): void {
    if (this.contestIds.length > selectionsKeptMax) {
      this.contestIds.length = 0;
      this.optionEnds.length = 0;
    }
    if (this.optionIds.length > selectionsKeptMax) this.optionIds.length = 0;
    this.length = 0;
    this.bytes = bytes;
    this.#selections = 0;
    this.#options = 0;
    this.#ownUsed = 0;
  }

  /**
   * Somebody still needs what it holds when its call has been read: it is not filled again. The room that was for other votes
   * is given back, and that of the network, of which the request is a small part: the weights know nothing of either (I9).
   */
  keep(): void {
    if (this.#kept) return;
    this.#kept = true;
    const votes = this.length;
    this.voterKinds = this.voterKinds.slice(0, votes);
    this.voterStarts = this.voterStarts.slice(0, votes);
    this.voterEnds = this.voterEnds.slice(0, votes);
    this.keyStarts = this.keyStarts.slice(0, votes);
    this.keyLengths = this.keyLengths.slice(0, votes);
    this.selectionEnds = this.selectionEnds.slice(0, votes);
    this.weights = this.weights.slice(0, votes);
    const isOwn = this.bytes === this.#ownBytes;
    this.bytes = new Uint8Array(isOwn ? this.#ownBytes.subarray(0, this.#ownUsed) : this.bytes);
    this.#ownBytes = noOwnBytes;
  }

  get kept(): boolean {
    return this.#kept;
  }

  firstSelection(at: number): number {
    return at === 0 ? 0 : (this.selectionEnds[at - 1] ?? 0);
  }

  firstOption(selection: number): number {
    return selection === 0 ? 0 : (this.optionEnds[selection - 1] ?? 0);
  }

  addOption(optionId: string): void {
    this.optionIds[this.#options++] = optionId;
  }

  /** Its options have been added. */
  addSelection(contestId: string): void {
    this.contestIds[this.#selections] = contestId;
    this.optionEnds[this.#selections++] = this.#options;
  }

  /** Its selections have been added, and its ID and key noted at `length`. */
  addVote(electionId: string, regionId: string): void {
    const at = this.length++;
    this.electionIds[at] = electionId;
    this.regionIds[at] = regionId;
    this.selectionEnds[at] = this.#selections;
    this.weights[at] = this.#weightOf(at);
  }

  /** A vote as protobuf-es has it. */
  add({ electionId, voter, regionId, selections, idempotencyKey }: VoteText): void {
    if (this.length === 0) this.#makeRoom();
    const at = this.length;
    this.voterKinds[at] = voter.case === undefined ? voterKind.none : voterKind[voter.case];
    this.voterStarts[at] = this.#ownUsed;
    this.#ownUsed += this.#ownBytes.write((voter.value ?? "").slice(0, voterIdUnitsMax), this.#ownUsed);
    this.voterEnds[at] = this.#ownUsed;
    this.keyStarts[at] = this.#ownUsed;
    this.keyLengths[at] = idempotencyKey.length;
    // A key that is too long is refused by its length, so its bytes do not matter.
    const key = idempotencyKey.subarray(0, idempotencyKeyBytesMax);
    this.#ownBytes.set(key, this.#ownUsed);
    this.#ownUsed += key.length;
    for (const { contestId, optionIds } of selections) {
      for (const optionId of optionIds) this.addOption(optionId);
      this.addSelection(contestId);
    }
    this.addVote(electionId, regionId);
  }

  #makeRoom(): void {
    const wanted = this.capacity * bytesAVoteMax;
    if (this.#ownBytes.length < wanted) this.#ownBytes = Buffer.allocUnsafe(wanted);
    this.bytes = this.#ownBytes;
  }

  #weightOf(at: number): number {
    // Of the key, too: its bytes are held before anybody looks how many there are.
    const ids = (this.voterEnds[at] ?? 0) - (this.voterStarts[at] ?? 0) + (this.keyLengths[at] ?? 0);
    let bytes = voteOverheadBytes + ids + (this.electionIds[at]?.length ?? 0) + (this.regionIds[at]?.length ?? 0);
    const last = this.selectionEnds[at] ?? 0;
    for (let selection = this.firstSelection(at); selection < last; selection++) {
      bytes += selectionOverheadBytes + (this.contestIds[selection]?.length ?? 0);
      const end = this.optionEnds[selection] ?? 0;
      for (let option = this.firstOption(selection); option < end; option++) {
        bytes += optionOverheadBytes + (this.optionIds[option]?.length ?? 0);
      }
    }
    return bytes;
  }
}

/** The columns of one call after the other. */
export class VoteScratch {
  readonly #capacity: number;
  #votes: ReceivedVotes;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#votes = new ReceivedVotes(capacity);
  }

  /** Empty columns, to be filled and read before they are asked for again. */
  get votes(): ReceivedVotes {
    if (this.#votes.kept) this.#votes = new ReceivedVotes(this.#capacity);
    this.#votes.clear();
    return this.#votes;
  }
}
