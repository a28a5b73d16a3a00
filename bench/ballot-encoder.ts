/**
 * `CastVoteBatchRequest` messages of replayed ballots, written byte by byte: what is the same for every ballot of a cell
 * is encoded once, so that a vote costs two copies, its digits and one hash. The test compares it with protobuf-es.
 */
import type { BallotCell } from "#bench/election-file.ts";
import { fileContestId } from "#bench/election-file.ts";
import { replayKeyPrefix } from "#bench/replay-identity.ts";
import { ShortSha256 } from "#bench/sha256.ts";
import { idempotencyKeyBytesMin, voterIdBytesMax } from "#proto/limits.ts";
import { varintLength, writeVarint } from "#proto/varint.ts";

const keyBytes = idempotencyKeyBytesMin;

/** Tags of length-delimited fields: number * 8 + 2. */
const tag = {
  batchVotes: 0x0a,
  electionId: 0x0a,
  voterId: 0x12,
  regionId: 0x22,
  selections: 0x2a,
  idempotencyKey: 0x32,
  contestId: 0x0a,
  optionIds: 0x12,
} as const;

type CellTemplate = {
  /** The voter id up to the index. */
  readonly voterIdPrefix: Buffer;
  /** Region and selection. */
  readonly tail: Buffer;
};

export class BallotEncoder {
  readonly #head: Buffer;
  readonly #templates: readonly CellTemplate[];
  readonly #voteBytesMax: number;
  #scratch = Buffer.alloc(0);
  readonly #sha = new ShortSha256(replayKeyPrefix.length + voterIdBytesMax);

  /** `cells` as in ElectionFile: positions in it are what `encode` is given. */
  constructor(electionId: string, cells: readonly BallotCell[]) {
    this.#head = field(tag.electionId, electionId);
    this.#templates = cells.map(template);
    const tailBytesMax = this.#templates.reduce((max, { tail }) => Math.max(max, tail.length), 0);
    const framing = 1 + 5 + 1 + 2 + 2;
    this.#voteBytesMax = framing + this.#head.length + voterIdBytesMax + tailBytesMax + keyBytes;
    Buffer.from(replayKeyPrefix).copy(this.#sha.message);
  }

  /** The message of the first `count` ballots, each given by its cell and its index in it. */
  encode(cells: Uint32Array, indexes: Uint32Array, count: number): Buffer {
    if (this.#scratch.length < count * this.#voteBytesMax) this.#scratch = Buffer.alloc(count * this.#voteBytesMax);
    const out = this.#scratch;
    let at = 0;
    for (let i = 0; i < count; i++) {
      const cell = this.#templates[cells[i] as number];
      if (cell === undefined) throw new RangeError(`BallotEncoder: no cell ${cells[i]}`);
      at = this.#encodeVote(out, at, cell, indexes[i] as number);
    }
    // The callers keep it until the votes are settled: a copy of a third of the size is cheaper than what they would hold.
    return Buffer.from(out.subarray(0, at));
  }

  #encodeVote(out: Buffer, start: number, { voterIdPrefix, tail }: CellTemplate, index: number): number {
    const voterIdBytes = voterIdPrefix.length + digitCount(index);
    const voterIdFieldBytes = 1 + varintLength(voterIdBytes) + voterIdBytes;
    const voteBytes = this.#head.length + voterIdFieldBytes + tail.length + 2 + keyBytes;
    out[start] = tag.batchVotes;
    let at = writeVarint(out, start + 1, voteBytes);
    out.set(this.#head, at);
    at += this.#head.length;
    out[at] = tag.voterId;
    at = writeVarint(out, at + 1, voterIdBytes);
    const voterIdAt = at;
    out.set(voterIdPrefix, at);
    at += voterIdBytes;
    writeDigits(out, at, index);
    out.set(tail, at);
    at += tail.length;
    out[at++] = tag.idempotencyKey;
    out[at++] = keyBytes;
    this.#writeKey(out, at, voterIdAt, voterIdBytes);
    return at + keyBytes;
  }

  #writeKey(out: Buffer, at: number, voterIdAt: number, voterIdBytes: number): void {
    const { message } = this.#sha;
    const prefixBytes = replayKeyPrefix.length;
    for (let i = 0; i < voterIdBytes; i++) message[prefixBytes + i] = out[voterIdAt + i] as number;
    this.#sha.digestInto(prefixBytes + voterIdBytes, out, at, keyBytes);
  }
}

function template({ voterIdPrefix, regionId, optionId }: BallotCell): CellTemplate {
  const selection = Buffer.concat([field(tag.contestId, fileContestId), field(tag.optionIds, optionId)]);
  return {
    voterIdPrefix: Buffer.from(voterIdPrefix),
    tail: Buffer.concat([field(tag.regionId, regionId), field(tag.selections, selection)]),
  };
}

function field(fieldTag: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(6);
  head[0] = fieldTag;
  return Buffer.concat([head.subarray(0, writeVarint(head, 1, bytes.length)), bytes]);
}

function digitCount(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes the decimal digits of `value` so that they end before `end`. */
function writeDigits(out: Buffer, end: number, value: number): void {
  let rest = value;
  let at = end - 1;
  do {
    const tenth = Math.floor(rest / 10);
    out[at--] = 0x30 + (rest - tenth * 10);
    rest = tenth;
  } while (rest > 0);
}
