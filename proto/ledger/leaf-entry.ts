/**
 * What the ledger records of one accepted vote:
 *
 *   entry      = 0x01 || u8 length of election id || election id || definition hash[32]
 *                || nullifier[16] || key hash[16] || commitment[32]
 *   commitment = SHA-256(nonce[16] || canonical ballot || region ordinal, uint32 big-endian)
 *
 * An entry names no choice: the commitment hides it behind a random nonce that is stored beside the vote and never leaves
 * the database. Region and nonce have fixed widths, so no other ballot and region have the same commitment by shifting
 * bytes between them. The definition hash is there so that nobody can rename the options of an election after the vote:
 * a canonical ballot is a list of positions in that definition.
 */
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";
import { digest, hashBytes, leafPrefix } from "#proto/ledger/merkle-hash.ts";
import { contestsMax, keyHashBytes, nullifierBytes, optionsPerContestMax } from "#proto/limits.ts";

export const nonceBytes = 16;
const definitionHashBytes = 32;
const commitmentBytes = hashBytes;
const regionBytes = 4;
const version = 1;

/** All that follows the definition hash. */
const suffixBytes = nullifierBytes + keyHashBytes + commitmentBytes;
/** The longest canonical ballot: every option of every contest. */
const ballotBytesMax = contestsMax * optionsPerContestMax * 2;

export type LeafEntry = {
  /** 1 to 64 printable ASCII characters. */
  readonly electionId: string;
  /** 32 bytes, see proto/election-shape.ts */
  readonly definitionHash: Uint8Array;
  /** 16 bytes */
  readonly nullifier: Uint8Array;
  /** 16 bytes; zeros for a vote without an idempotency key. */
  readonly keyHash: Uint8Array;
  /** 32 bytes */
  readonly commitment: Uint8Array;
};

/** Throws LedgerFormatError when a part does not have its length. */
export function encodeLeafEntry(entry: LeafEntry): Buffer {
  demandBytes("nullifier", entry.nullifier, nullifierBytes);
  demandBytes("key hash", entry.keyHash, keyHashBytes);
  demandBytes("commitment", entry.commitment, commitmentBytes);
  const prefix = encodePrefix(entry.electionId, entry.definitionHash);
  return Buffer.concat([prefix, entry.nullifier, entry.keyHash, entry.commitment]);
}

/** What all entries of one election start with: all up to the nullifier. */
function encodePrefix(electionId: string, definitionHash: Uint8Array): Buffer {
  demandElectionId(electionId);
  demandBytes("definition hash", definitionHash, definitionHashBytes);
  return Buffer.concat([Buffer.of(version, electionId.length), Buffer.from(electionId, "latin1"), definitionHash]);
}

/** Throws LedgerFormatError unless `bytes` are what encodeLeafEntry makes. The parts share the memory of `bytes`. */
export function parseLeafEntry(bytes: Uint8Array): LeafEntry {
  const [found, idLength = 0] = bytes;
  demandFormat(found !== undefined, "the leaf entry is empty");
  demandFormat(found === version, `the leaf entry has version ${found}; this program knows version ${version}`);
  const idEnd = 2 + idLength;
  const length = idEnd + definitionHashBytes + suffixBytes;
  demandFormat(
    bytes.length === length,
    `the leaf entry has ${bytes.length} bytes; with an election id of ${idLength} it has ${length}`,
  );
  const electionId = Buffer.from(bytes.subarray(2, idEnd)).toString("latin1");
  const nullifierAt = idEnd + definitionHashBytes;
  const keyHashAt = nullifierAt + nullifierBytes;
  const commitmentAt = keyHashAt + keyHashBytes;
  demandElectionId(electionId);
  return {
    electionId,
    definitionHash: bytes.subarray(idEnd, nullifierAt),
    nullifier: bytes.subarray(nullifierAt, keyHashAt),
    keyHash: bytes.subarray(keyHashAt, commitmentAt),
    commitment: bytes.subarray(commitmentAt),
  };
}

/** The commitment to a canonical ballot that was cast in a region, given by its ordinal: 32 bytes. */
export function ballotCommitment(nonce: Uint8Array, ballot: Uint8Array, region: number): Buffer {
  demandBytes("nonce", nonce, nonceBytes);
  if (!Number.isInteger(region)) throw new RangeError(`ballotCommitment: ${region} is not a region's ordinal`);
  const ordinal = Buffer.alloc(regionBytes);
  ordinal.writeUInt32BE(region);
  return Buffer.from(digest(Buffer.concat([nonce, ballot, ordinal])), "latin1");
}

/** Votes as a frame brings them: a column for each part, the parts of fixed width one behind the other. */
export type VoteColumns = {
  readonly nullifiers: Buffer;
  readonly keyHashes: Buffer;
  readonly ballots: Buffer;
  /** Where each ballot starts in `ballots`, and at the end where the last one ends. */
  readonly ballotStarts: ArrayLike<number>;
  readonly regions: ArrayLike<number>;
};

/**
 * The leaf hashes of one election's votes, for the path that every vote takes; it hashes in two buffers of its own. One core
 * of an AMD EPYC with SHA extensions, Node 24.21.0, ballots of 6 bytes, 2026-11-25: 700 ns a vote, of which 560 ns are the two
 * digests (see merkle-hash.ts).
 *
 * Short parts are copied a byte at a time: a call into the engine costs more than 16 bytes do.
 */
export class LeafEntryWriter {
  /** 0x00 || entry, of which a vote changes the end. */
  readonly #leaf: Buffer;
  readonly #nullifierAt: number;
  readonly #keyHashAt: number;
  readonly #commitmentAt: number;
  /** nonce || ballot || region, what a commitment is over. */
  readonly #opening = Buffer.alloc(nonceBytes + ballotBytesMax + regionBytes);
  /** Its first bytes, by length of the ballot: an election has few lengths, and a view is dearer than all that is written. */
  readonly #openings = new Map<number, Buffer>();

  constructor(electionId: string, definitionHash: Uint8Array) {
    const prefix = encodePrefix(electionId, definitionHash);
    this.#leaf = Buffer.concat([Buffer.of(leafPrefix), prefix, Buffer.alloc(suffixBytes)]);
    this.#nullifierAt = 1 + prefix.length;
    this.#keyHashAt = this.#nullifierAt + nullifierBytes;
    this.#commitmentAt = this.#keyHashAt + keyHashBytes;
  }

  /**
   * Writes into `target` the leaf hash of vote `index` of the columns, whose commitment is under the 16 bytes of `nonce` at
   * `nonceOffset`. Throws RangeError when a part has not its length: the bytes of the vote before would stand in for it.
   */
  leafHash(
    columns: VoteColumns,
    index: number,
    nonce: Buffer,
    nonceOffset: number,
    target: Buffer,
    targetOffset: number,
  ): void {
    const { nullifiers, keyHashes, ballots } = columns;
    // A column that is too short reads as NaN, which no check below lets through.
    const ballotStart = columns.ballotStarts[index] ?? Number.NaN;
    const ballotLength = (columns.ballotStarts[index + 1] ?? Number.NaN) - ballotStart;
    const opening = this.#openingOf(ballotLength);
    copyBytes(this.#leaf, this.#nullifierAt, nullifiers, index * nullifierBytes, nullifierBytes);
    copyBytes(this.#leaf, this.#keyHashAt, keyHashes, index * keyHashBytes, keyHashBytes);
    copyBytes(opening, nonceBytes, ballots, ballotStart, ballotLength);
    this.#finish(opening, nonce, nonceOffset, columns.regions[index] ?? Number.NaN, target, targetOffset);
  }

  #openingOf(ballotLength: number): Buffer {
    const known = this.#openings.get(ballotLength);
    if (known !== undefined) return known;
    demandLength(ballotLength >= 0 && ballotLength <= ballotBytesMax);
    const opening = this.#opening.subarray(0, nonceBytes + ballotLength + regionBytes);
    this.#openings.set(ballotLength, opening);
    return opening;
  }

  #finish(
    opening: Buffer,
    nonce: Buffer,
    nonceOffset: number,
    region: number,
    target: Buffer,
    targetOffset: number,
  ): void {
    demandLength(targetOffset >= 0 && targetOffset + hashBytes <= target.length);
    demandLength(region >>> 0 === region);
    copyBytes(opening, 0, nonce, nonceOffset, nonceBytes);
    opening.writeUInt32BE(region, opening.length - regionBytes);
    this.#leaf.write(digest(opening), this.#commitmentAt, "latin1");
    target.write(digest(this.#leaf), targetOffset, "latin1");
  }
}

function copyBytes(target: Buffer, offset: number, source: Buffer, start: number, length: number): void {
  demandLength(start >= 0 && start + length <= source.length);
  for (let i = 0; i < length; i++) target[offset + i] = source[start + i] ?? 0;
}

function demandLength(fits: boolean): void {
  if (!fits) throw new RangeError("a part of a vote does not have its length, or is not where it was said to be");
}

function demandElectionId(electionId: string): void {
  demandFormat(/^[!-~]{1,64}$/.test(electionId), "the election id is not 1 to 64 printable ASCII characters");
}

function demandBytes(what: string, bytes: Uint8Array, length: number): void {
  demandFormat(bytes.length === length, `the ${what} has ${bytes.length} bytes; it must have ${length}`);
}
