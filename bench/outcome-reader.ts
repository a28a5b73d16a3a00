/**
 * Reads `CastVoteBatchResponse` outcome by outcome without making an object for each: the replay takes from most of them
 * no more than the log, the leaf index and whether it is a repeat. The test compares it with protobuf-es.
 */
import { fromBinary } from "@bufbuild/protobuf";
import type { Rejection } from "#proto/generated/urna/v1/vote_pb.js";
import { RejectionSchema } from "#proto/generated/urna/v1/vote_pb.js";

/** Log origins by the order in which they were first seen. */
export class LogNames {
  readonly #names: string[] = [];
  readonly #bytes: Buffer[] = [];

  get names(): readonly string[] {
    return this.#names;
  }

  /** The number of the log whose name stands in these bytes. */
  numberOf(bytes: Uint8Array, start: number, end: number): number {
    for (let log = 0; log < this.#bytes.length; log++) {
      if (sameBytes(this.#bytes[log] as Buffer, bytes, start, end)) return log;
    }
    const name = Buffer.from(bytes.subarray(start, end));
    this.#bytes.push(name);
    return this.#names.push(name.toString("utf8")) - 1;
  }
}

const lengthDelimited = 2;
const varint = 0;
const fixed64 = 1;
const fixed32 = 5;

/** A message that is not what the contract says. The answer is lost, so the votes are unknown. */
export class MalformedResponse extends Error {}

/** A cursor over the outcomes of one response: `next()`, then the fields of the outcome. */
export class OutcomeReader {
  readonly #bytes: Uint8Array;
  readonly #logs: LogNames;
  #at = 0;
  #rejectionStart = 0;
  #rejectionEnd = 0;
  #receiptIdStart = 0;
  #receiptIdEnd = 0;
  /** Whether the outcome is a receipt; else it is a rejection. */
  isReceipt = false;
  repeat = false;
  /** Of a receipt: its position in `LogNames.names`. */
  log = -1;
  leafIndex = 0;

  constructor(bytes: Uint8Array, logs: LogNames) {
    this.#bytes = bytes;
    this.#logs = logs;
  }

  /** Moves to the next outcome; false when there is none. */
  next(): boolean {
    while (this.#at < this.#bytes.length) {
      const tag = this.#varint();
      if (tag !== ((1 << 3) | lengthDelimited)) {
        this.#skip(tag & 7);
        continue;
      }
      const length = this.#varint();
      this.#readOutcome(this.#end(length));
      return true;
    }
    return false;
  }

  /** Of a receipt. */
  receiptId(): string {
    return Buffer.from(this.#bytes.subarray(this.#receiptIdStart, this.#receiptIdEnd)).toString("latin1");
  }

  /** Of a rejection. */
  rejection(): Rejection {
    return fromBinary(RejectionSchema, this.#bytes.subarray(this.#rejectionStart, this.#rejectionEnd));
  }

  #readOutcome(end: number): void {
    this.repeat = false;
    this.isReceipt = false;
    let results = 0;
    while (this.#at < end) {
      const tag = this.#varint();
      if (tag === ((1 << 3) | lengthDelimited)) {
        results++;
        this.isReceipt = true;
        const length = this.#varint();
        this.#readReceipt(this.#end(length));
      } else if (tag === ((2 << 3) | lengthDelimited)) {
        results++;
        const length = this.#varint();
        this.#rejectionStart = this.#at;
        this.#at = this.#end(length);
        this.#rejectionEnd = this.#at;
      } else if (tag === ((3 << 3) | varint)) {
        this.repeat = this.#varint() !== 0;
      } else {
        this.#skip(tag & 7);
      }
    }
    if (results !== 1) throw new MalformedResponse(`an outcome with ${results} results`);
  }

  #readReceipt(end: number): void {
    this.leafIndex = 0;
    this.log = -1;
    this.#receiptIdStart = 0;
    this.#receiptIdEnd = 0;
    while (this.#at < end) {
      const tag = this.#varint();
      if (tag === ((1 << 3) | lengthDelimited)) {
        const length = this.#varint();
        this.#receiptIdStart = this.#at;
        this.#at = this.#end(length);
        this.#receiptIdEnd = this.#at;
      } else if (tag === ((3 << 3) | lengthDelimited)) {
        const length = this.#varint();
        const stop = this.#end(length);
        this.log = this.#logs.numberOf(this.#bytes, this.#at, stop);
        this.#at = stop;
      } else if (tag === ((4 << 3) | varint)) {
        this.leafIndex = this.#varint();
      } else {
        this.#skip(tag & 7);
      }
    }
    if (this.log === -1) throw new MalformedResponse("a receipt without a log");
  }

  #end(length: number): number {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new MalformedResponse("a field ends after its message");
    return end;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new MalformedResponse("a number is cut off");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      if (scale > 2 ** 63) throw new MalformedResponse("a number of more than ten bytes");
    }
  }

  #skip(wireType: number): void {
    switch (wireType) {
      case varint:
        this.#varint();
        return;
      case fixed64:
        this.#at = this.#end(8);
        return;
      case lengthDelimited: {
        const length = this.#varint();
        this.#at = this.#end(length);
        return;
      }
      case fixed32:
        this.#at = this.#end(4);
        return;
      default:
        throw new MalformedResponse(`wire type ${wireType}`);
    }
  }
}

function sameBytes(name: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  // Names of logs differ at their ends.
  for (let i = name.length - 1; i >= 0; i--) if (name[i] !== bytes[start + i]) return false;
  return true;
}
