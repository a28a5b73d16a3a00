/**
 * What the shards know of a voter and of a key: HMAC-SHA256(election key, voter ID) and SHA-256(idempotency key), each cut
 * to 16 bytes. The padded keys of the HMAC (RFC 2104) fill a block each, and are hashed once an election.
 */
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import type { ReceivedVotes } from "./received-votes.ts";
import { blockBytes, hashAfter, hashBytes, hashDigestAfter, stateAfter, writeDigest } from "./sha256.ts";

/** Bytes of a nullifier and a key hash, as `writeIdentity` lays them out: one after the other. */
export const identityBytes = nullifierBytes + keyHashBytes;

const innerPad = 0x36;
const outerPad = 0x5c;

const digest = new Int32Array(8);

/** Makes the nullifiers of one election. */
export class NullifierMaker {
  readonly #inner: Int32Array;
  readonly #outer: Int32Array;

  /** An election key: at most one block of bytes. */
  constructor(key: Uint8Array) {
    if (key.length > blockBytes) throw new RangeError("a key longer than a block would have to be hashed first");
    const padded = (pad: number) => Uint8Array.from({ length: blockBytes }, (_, i) => (key[i] ?? 0) ^ pad);
    this.#inner = stateAfter(padded(innerPad));
    this.#outer = stateAfter(padded(outerPad));
  }

  /** Writes both to `target`; the key hash is zeros without a key. ID and key have been checked. */
  writeIdentity(
    target: Buffer,
    offset: number,
    { bytes, voterStarts, voterEnds, keyStarts, keyLengths }: ReceivedVotes,
    at: number,
  ): void {
    hashAfter(digest, this.#inner, bytes, voterStarts[at] ?? 0, voterEnds[at] ?? 0);
    hashDigestAfter(digest, this.#outer);
    writeDigest(target, offset, nullifierBytes, digest);
    const keyStart = keyStarts[at] ?? 0;
    const keyLength = keyLengths[at] ?? 0;
    if (keyLength === 0) digest.fill(0);
    else hashBytes(digest, bytes, keyStart, keyStart + keyLength);
    writeDigest(target, offset + nullifierBytes, keyHashBytes, digest);
  }
}
