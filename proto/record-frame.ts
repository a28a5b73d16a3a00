/**
 * The messages of ShardService.RecordVotes, written and read column by column without protobuf-es, whose arrays of bigints and
 * numbers cost more than all else that is done for a vote on its way. The bytes are those of `proto/urna/v1/shard_service.proto`:
 * the test compares them with protobuf-es.
 */
import { frameVotesMax } from "#proto/limits.ts";
import { varintLength, writeVarint } from "#proto/varint.ts";
import { bytesType, UnreadableMessage, varintType, WireCursor } from "#proto/wire-cursor.ts";

/** A RecordVotesRequest; every column has one entry a vote. */
export type RecordFrame = {
  readonly frameId: number;
  readonly mapEpoch: number;
  readonly electionId: string;
  readonly definitionHash: Uint8Array;
  readonly nullifiers: Uint8Array;
  readonly keyHashes: Uint8Array;
  readonly regions: Uint32Array;
  readonly ballots: Uint8Array;
  readonly ballotLengths: Uint32Array;
  readonly deadlineMs: Uint32Array;
  /** Of one vote whose call is traced; empty, nearly always. */
  readonly traceparent: string;
};

/** Tag and length. */
const headBytesMax = 6;
const varint32BytesMax = 5;
const varint64BytesMax = 10;

/** A serialised RecordVotesRequest. */
export function encodeRecordFrame(frame: RecordFrame): Buffer {
  const { electionId, definitionHash, nullifiers, keyHashes, regions, ballots, traceparent } = frame;
  const bytesMax =
    11 * headBytesMax +
    2 * varint64BytesMax +
    Buffer.byteLength(electionId) +
    definitionHash.length +
    nullifiers.length +
    keyHashes.length +
    ballots.length +
    3 * varint32BytesMax * regions.length +
    Buffer.byteLength(traceparent);
  const target = Buffer.allocUnsafe(bytesMax);
  let at = writeNumber(target, 0, 1, frame.frameId);
  at = writeNumber(target, at, 2, frame.mapEpoch);
  at = writeText(target, at, 3, electionId);
  at = writeBytes(target, at, 4, definitionHash);
  at = writeBytes(target, at, 5, nullifiers);
  at = writeBytes(target, at, 6, keyHashes);
  at = writePacked(target, at, 7, regions);
  at = writeBytes(target, at, 8, ballots);
  at = writePacked(target, at, 9, frame.ballotLengths);
  at = writePacked(target, at, 10, frame.deadlineMs);
  at = writeText(target, at, 11, traceparent);
  return target.subarray(0, at);
}

// As protobuf has it, what is zero or empty is left out.

function writeNumber(target: Buffer, at: number, field: number, value: number): number {
  if (value === 0) return at;
  target[at] = (field << 3) | varintType;
  return writeVarint(target, at + 1, value);
}

function writeHead(target: Buffer, at: number, field: number, length: number): number {
  target[at] = (field << 3) | bytesType;
  return writeVarint(target, at + 1, length);
}

function writeText(target: Buffer, at: number, field: number, text: string): number {
  if (text === "") return at;
  const start = writeHead(target, at, field, Buffer.byteLength(text));
  return start + target.write(text, start);
}

function writeBytes(target: Buffer, at: number, field: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return at;
  const start = writeHead(target, at, field, bytes.length);
  target.set(bytes, start);
  return start + bytes.length;
}

/** Whole numbers below 2^53. */
function writePacked(
  target: Buffer,
  at: number,
  field: number,
  values: Uint8Array | Uint32Array | Float64Array,
): number {
  if (values.length === 0) return at;
  let length = 0;
  for (let i = 0; i < values.length; i++) length += varintLength(values[i] ?? 0);
  let end = writeHead(target, at, field, length);
  for (let i = 0; i < values.length; i++) end = writeVarint(target, end, values[i] ?? 0);
  return end;
}

/** What a RecordVotesResponse holds; every column has one entry a vote. */
export type RecordOutcomes = {
  readonly frameId: number;
  /** RecordOutcome. */
  readonly outcomes: Uint8Array;
  readonly leafIndexes: Float64Array;
  readonly batches: Float64Array;
  readonly logOrigin: string;
};

/** A serialised RecordVotesResponse. */
export function encodeRecordOutcomes(answer: RecordOutcomes): Buffer {
  const { outcomes, logOrigin } = answer;
  const bytesMax =
    4 * headBytesMax +
    varint64BytesMax +
    Buffer.byteLength(logOrigin) +
    (varint32BytesMax + 2 * varint64BytesMax) * outcomes.length;
  const target = Buffer.allocUnsafe(bytesMax);
  let at = writeNumber(target, 0, 1, answer.frameId);
  at = writePacked(target, at, 2, outcomes);
  at = writePacked(target, at, 3, answer.leafIndexes);
  at = writePacked(target, at, 4, answer.batches);
  at = writeText(target, at, 5, logOrigin);
  return target.subarray(0, at);
}

/** A column of numbers below 2^53, refilled for every message. */
class NumberColumn {
  readonly #values = new Float64Array(frameVotesMax);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  at(index: number): number {
    return this.#values[index] ?? 0;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Packed, or one of its values. */
  read(cursor: WireCursor, wireType: number): void {
    if (wireType === varintType) this.#push(cursor.varint());
    else if (wireType === bytesType) {
      const end = cursor.end();
      while (cursor.at < end) this.#push(cursor.varint());
      if (cursor.at !== end) throw new UnreadableMessage("a number goes on after its field");
    } else throw new UnreadableMessage(`a number of wire type ${wireType}`);
  }

  #push(value: number): void {
    if (this.#length === frameVotesMax) throw new UnreadableMessage("a frame has more votes than a frame may have");
    this.#values[this.#length++] = value;
  }
}

/** RecordVotesResponses, read one after the other into the same columns. */
export class RecordAnswer {
  readonly #cursor = new WireCursor();
  frameId = 0;
  logOrigin = "";
  /** RecordOutcome. */
  readonly outcomes = new NumberColumn();
  readonly leafIndexes = new NumberColumn();
  readonly batches = new NumberColumn();

  /** Throws UnreadableMessage: a fault of whoever sent it. */
  read(bytes: Buffer): void {
    const cursor = this.#cursor;
    this.frameId = 0;
    this.logOrigin = "";
    for (const column of [this.outcomes, this.leafIndexes, this.batches]) column.clear();
    cursor.open(bytes);
    while (cursor.at < bytes.length) this.#readField(bytes, cursor.varint());
  }

  #readField(bytes: Buffer, tag: number): void {
    const cursor = this.#cursor;
    const wireType = tag & 7;
    const field = tag >>> 3;
    if (field === 1 && wireType === varintType) this.frameId = cursor.varint();
    else if (field === 2) this.outcomes.read(cursor, wireType);
    else if (field === 3) this.leafIndexes.read(cursor, wireType);
    else if (field === 4) this.batches.read(cursor, wireType);
    else if (field === 5 && wireType === bytesType) {
      const end = cursor.end();
      this.logOrigin = bytes.toString("utf8", cursor.at, end);
      cursor.at = end;
    } else cursor.skip(wireType);
  }
}
