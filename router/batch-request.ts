/**
 * Reads a CastVoteBatchRequest into columns, without an object for each vote and its parts. It reads what every protobuf library
 * writes: known fields, each at most once, ASCII ids. Whatever else a request may be, protobuf-es reads the whole of it instead,
 * so that what is accepted, and as what, is protobuf's own.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { CastVoteBatchRequestSchema } from "#proto/generated/urna/v1/vote_service_pb.js";
import { batchRequestVotesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import { bytesType, UnreadableMessage, WireCursor } from "#proto/wire-cursor.ts";
import type { ReceivedVotes } from "./received-votes.ts";
import { VoteScratch, voterKind } from "./received-votes.ts";
import { RepeatedTexts } from "./repeated-texts.ts";

const tag = {
  votes: (1 << 3) | bytesType,
  electionId: (1 << 3) | bytesType,
  voterId: (2 << 3) | bytesType,
  ballotId: (3 << 3) | bytesType,
  regionId: (4 << 3) | bytesType,
  selections: (5 << 3) | bytesType,
  idempotencyKey: (6 << 3) | bytesType,
  contestId: (1 << 3) | bytesType,
  optionIds: (2 << 3) | bytesType,
} as const;

/** Thrown at what protobuf-es must read; without a stack, because callers may send it as often as they like. */
const unusual = new UnreadableMessage("not as protobuf libraries write it");

export class BatchRequests {
  readonly #scratch = new VoteScratch(batchRequestVotesMax);
  readonly #cursor = new WireCursor();
  readonly #texts = new RepeatedTexts();

  /** The votes are to be read before the next call. Throws INVALID_REQUEST. */
  read(request: Uint8Array): ReceivedVotes {
    const { votes } = this.#scratch;
    if (!this.#readPlain(request, votes)) addMessages(request, votes);
    demandBatch(votes.length);
    return votes;
  }

  /** False when the request is unusual; `votes` are of no use then. */
  #readPlain(request: Uint8Array, votes: ReceivedVotes): boolean {
    const cursor = this.#cursor;
    votes.clear(request);
    cursor.open(request);
    try {
      while (cursor.at < request.length) {
        if (request[cursor.at++] !== tag.votes || votes.length === votes.capacity) return false;
        this.#readVote(request, votes, cursor.end());
      }
      return true;
    } catch (cause) {
      if (cause instanceof UnreadableMessage) return false;
      throw cause;
    }
  }

  #readVote(request: Uint8Array, votes: ReceivedVotes, end: number): void {
    const cursor = this.#cursor;
    const at = votes.length;
    let electionId = "";
    let regionId = "";
    let seen = 0;
    votes.voterKinds[at] = voterKind.none;
    votes.voterStarts[at] = 0;
    votes.voterEnds[at] = 0;
    votes.keyLengths[at] = 0;
    while (cursor.at < end) {
      const field = request[cursor.at++] ?? 0;
      const fieldEnd = this.#endWithin(end);
      if (field === tag.selections) {
        this.#readSelection(request, votes, fieldEnd);
        continue;
      }
      // The two IDs are one oneof: the last one would stand.
      const bit = 1 << ((field === tag.ballotId ? tag.voterId : field) >> 3);
      if ((seen & bit) !== 0) throw unusual;
      seen |= bit;
      if (field === tag.electionId) electionId = this.#text(request, fieldEnd);
      else if (field === tag.regionId) regionId = this.#text(request, fieldEnd);
      else if (field === tag.voterId) this.#readVoter(request, votes, voterKind.voterId, fieldEnd);
      else if (field === tag.ballotId) this.#readVoter(request, votes, voterKind.ballotId, fieldEnd);
      else if (field === tag.idempotencyKey) {
        votes.keyStarts[at] = cursor.at;
        votes.keyLengths[at] = fieldEnd - cursor.at;
        cursor.at = fieldEnd;
      } else throw unusual;
    }
    votes.addVote(electionId, regionId);
  }

  #readSelection(request: Uint8Array, votes: ReceivedVotes, end: number): void {
    const cursor = this.#cursor;
    let contestId: string | undefined;
    while (cursor.at < end) {
      const field = request[cursor.at++];
      const fieldEnd = this.#endWithin(end);
      if (field === tag.optionIds) votes.addOption(this.#text(request, fieldEnd));
      else if (field === tag.contestId && contestId === undefined) contestId = this.#text(request, fieldEnd);
      else throw unusual;
    }
    votes.addSelection(contestId ?? "");
  }

  #readVoter(request: Uint8Array, votes: ReceivedVotes, kind: number, end: number): void {
    const cursor = this.#cursor;
    const at = votes.length;
    // Whether it is text at all is a question of the whole request; whether it is a good ID, of the vote.
    for (let i = cursor.at; i < end; i++) if ((request[i] ?? 0) >= 0x80) throw unusual;
    votes.voterKinds[at] = kind;
    votes.voterStarts[at] = cursor.at;
    votes.voterEnds[at] = end;
    cursor.at = end;
  }

  #text(request: Uint8Array, end: number): string {
    const cursor = this.#cursor;
    const text = this.#texts.at(request, cursor.at, end);
    if (text === undefined) throw unusual;
    cursor.at = end;
    return text;
  }

  #endWithin(messageEnd: number): number {
    const end = this.#cursor.end();
    if (end > messageEnd) throw unusual;
    return end;
  }
}

function addMessages(request: Uint8Array, votes: ReceivedVotes): void {
  const messages = decoded(request).votes;
  demandBatch(messages.length);
  votes.clear();
  for (const message of messages) votes.add(message);
}

function decoded(request: Uint8Array) {
  try {
    return fromBinary(CastVoteBatchRequestSchema, request, { readUnknownFields: false });
  } catch (cause) {
    throw new RejectionError("INVALID_REQUEST", `the request cannot be read: ${String(cause)}`);
  }
}

function demandBatch(votes: number): void {
  if (votes >= 1 && votes <= batchRequestVotesMax) return;
  throw new RejectionError("INVALID_REQUEST", `votes: a batch has 1 to ${batchRequestVotesMax} votes, not ${votes}`);
}
