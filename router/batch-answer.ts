/**
 * The outcomes of one CastVoteBatch, column by column, and the response that is written from them. What many outcomes share
 * (election and log of a receipt, a whole rejection) is encoded once; the bytes are those that protobuf-es would write.
 */
import { toBinary } from "@bufbuild/protobuf";
import { rejectionMessage } from "#mesh/rejection-status.ts";
import { RejectionSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { receiptIdBytesMax, writeReceiptId } from "#proto/receipt-id.ts";
import type { RejectionError } from "#proto/rejections.ts";
import { varintLength, writeVarint } from "#proto/varint.ts";
import { bytesType, varintType } from "#proto/wire-cursor.ts";
import type { VoteOutcome } from "./metrics.ts";
import type { ShardLog } from "./vote-table.ts";

const tag = {
  outcomes: (1 << 3) | bytesType,
  receipt: (1 << 3) | bytesType,
  rejection: (2 << 3) | bytesType,
  repeat: (3 << 3) | varintType,
  receiptId: (1 << 3) | bytesType,
  electionId: (2 << 3) | bytesType,
  logOrigin: (3 << 3) | bytesType,
  leafIndex: (4 << 3) | varintType,
} as const;

type ReceiptKind = {
  readonly case: "receipt";
  readonly electionId: string;
  readonly log: ShardLog;
  readonly repeat: boolean;
  /** The receipt's fields between its id and its leaf index. */
  readonly place: Uint8Array;
};

type RejectionKind = { readonly case: "rejection"; readonly rejection: RejectionError; readonly outcome: Uint8Array };

/** What outcomes share. */
type Kind = ReceiptKind | RejectionKind;

type NumberedReceipt = { readonly kind: ReceiptKind; readonly number: number };

/** Tags, lengths, leaf index and repeat of a receipt's outcome, beside its id and its place. */
const receiptFramingMax = 40;
const rejectionFramingMax = 10;

export class BatchAnswer {
  /** Of each vote the number of its kind, from 1; 0 while it is unsettled. */
  readonly #kindOf: Uint16Array;
  readonly #leafIndexes: Float64Array;
  readonly #kinds: Kind[] = [];
  readonly #receipts: NumberedReceipt[] = [];
  /** The one that was met last: receipts come in runs, as shards answer. */
  #lastReceipt: NumberedReceipt | undefined;
  readonly #rejections = new Map<RejectionError, number>();
  #unsettled: number;

  constructor(votes: number) {
    this.#kindOf = new Uint16Array(votes);
    this.#leafIndexes = new Float64Array(votes);
    this.#unsettled = votes;
  }

  get isComplete(): boolean {
    return this.#unsettled === 0;
  }

  isSettled(index: number): boolean {
    return this.#kindOf[index] !== 0;
  }

  accepted(index: number, electionId: string, log: ShardLog, leafIndex: number, repeat: boolean): void {
    this.#leafIndexes[index] = leafIndex;
    this.#settle(index, this.#receiptKind(electionId, log, repeat));
  }

  refused(index: number, rejection: RejectionError): void {
    this.#settle(index, this.#rejectionKind(rejection));
  }

  /** How many votes have each outcome. */
  *counts(): Generator<[VoteOutcome, number]> {
    const votes = new Uint32Array(this.#kinds.length + 1);
    for (let i = 0; i < this.#kindOf.length; i++) {
      const kind = this.#kindOf[i] ?? 0;
      votes[kind] = (votes[kind] ?? 0) + 1;
    }
    for (const [i, kind] of this.#kinds.entries()) yield [outcomeOf(kind), votes[i + 1] ?? 0];
  }

  /** The serialised CastVoteBatchResponse of a complete answer. */
  encode(): Buffer {
    let bytesMax = 0;
    for (let i = 0; i < this.#kindOf.length; i++) bytesMax += outcomeBytesMax(this.#kind(i));
    const target = Buffer.allocUnsafe(bytesMax);
    let at = 0;
    for (let i = 0; i < this.#kindOf.length; i++) {
      const kind = this.#kind(i);
      if (kind.case === "receipt") at = writeReceiptOutcome(target, at, kind, this.#leafIndexes[i] ?? 0);
      else {
        target[at] = tag.outcomes;
        at = writeVarint(target, at + 1, kind.outcome.length);
        target.set(kind.outcome, at);
        at += kind.outcome.length;
      }
    }
    return target.subarray(0, at);
  }

  #settle(index: number, kind: number): void {
    if (this.#kindOf[index] !== 0) throw new Error("a vote was settled twice (I4)");
    this.#kindOf[index] = kind;
    this.#unsettled -= 1;
  }

  #kind(index: number): Kind {
    const kind = this.#kinds[(this.#kindOf[index] ?? 0) - 1];
    if (kind === undefined) throw new Error("a batch is answered before its last vote is settled (I4)");
    return kind;
  }

  #receiptKind(electionId: string, log: ShardLog, repeat: boolean): number {
    const lastReceipt = this.#lastReceipt;
    if (lastReceipt !== undefined && isOf(lastReceipt.kind, electionId, log, repeat)) return lastReceipt.number;
    let kind = this.#receipts.find((receipt) => isOf(receipt.kind, electionId, log, repeat));
    if (kind === undefined) {
      const receipt: ReceiptKind = { case: "receipt", electionId, log, repeat, place: placeOf(electionId, log) };
      kind = { kind: receipt, number: this.#kinds.push(receipt) };
      this.#receipts.push(kind);
    }
    this.#lastReceipt = kind;
    return kind.number;
  }

  #rejectionKind(rejection: RejectionError): number {
    let kind = this.#rejections.get(rejection);
    if (kind === undefined) {
      kind = this.#kinds.push({ case: "rejection", rejection, outcome: rejectionOutcome(rejection) });
      this.#rejections.set(rejection, kind);
    }
    return kind;
  }
}

function isOf(kind: ReceiptKind, electionId: string, log: ShardLog, repeat: boolean): boolean {
  return kind.log === log && kind.repeat === repeat && kind.electionId === electionId;
}

function outcomeOf(kind: Kind): VoteOutcome {
  if (kind.case === "rejection") return kind.rejection.reason;
  return kind.repeat ? "repeat" : "recorded";
}

function outcomeBytesMax(kind: Kind): number {
  return kind.case === "receipt"
    ? receiptFramingMax + receiptIdBytesMax + kind.place.length
    : rejectionFramingMax + kind.outcome.length;
}

/** The id of the receipt that is being written: its length comes before it. */
const receiptId = new Uint8Array(receiptIdBytesMax);

function writeReceiptOutcome(
  target: Buffer,
  offset: number,
  { log, repeat, place }: ReceiptKind,
  leafIndex: number,
): number {
  const idLength = writeReceiptId(receiptId, 0, log.shardId, leafIndex);
  const leafLength = leafIndex === 0 ? 0 : 1 + varintLength(leafIndex);
  const receiptLength = 2 + idLength + place.length + leafLength;
  target[offset] = tag.outcomes;
  let at = writeVarint(target, offset + 1, 1 + varintLength(receiptLength) + receiptLength + (repeat ? 2 : 0));
  target[at] = tag.receipt;
  at = writeVarint(target, at + 1, receiptLength);
  target[at++] = tag.receiptId;
  target[at++] = idLength;
  for (let i = 0; i < idLength; i++) target[at++] = receiptId[i] ?? 0;
  target.set(place, at);
  at += place.length;
  if (leafIndex !== 0) {
    target[at] = tag.leafIndex;
    at = writeVarint(target, at + 1, leafIndex);
  }
  if (repeat) {
    target[at++] = tag.repeat;
    target[at++] = 1;
  }
  return at;
}

function placeOf(electionId: string, { origin }: ShardLog): Buffer {
  return Buffer.concat([field(tag.electionId, Buffer.from(electionId)), field(tag.logOrigin, Buffer.from(origin))]);
}

/** A rejection that many votes share is encoded once. */
const outcomes = new WeakMap<RejectionError, Buffer>();

function rejectionOutcome(rejection: RejectionError): Buffer {
  let outcome = outcomes.get(rejection);
  if (outcome === undefined) {
    outcome = field(tag.rejection, toBinary(RejectionSchema, rejectionMessage(rejection)));
    outcomes.set(rejection, outcome);
  }
  return outcome;
}

function field(fieldTag: number, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(6);
  head[0] = fieldTag;
  return Buffer.concat([head.subarray(0, writeVarint(head, 1, bytes.length)), bytes]);
}
