/**
 * What the shards know of a voter and of a key: HMAC-SHA256(election key, voter ID) and SHA-256(idempotency key), each cut
 * to 16 bytes. The HMAC is made of two one-shot hashes over padded keys (RFC 2104): measured 0.9 µs a vote, against 2.0 with
 * createHmac and a KeyObject, whose native objects also wait for the garbage collector.
 */
import { hash } from "node:crypto";
import { idempotencyKeyBytesMax, keyHashBytes, nullifierBytes, voterIdBytesMax } from "#proto/limits.ts";
import type { ReceivedVotes } from "./received-votes.ts";

/** Bytes of a nullifier and a key hash, as `writeIdentity` lays them out: one after the other. */
export const identityBytes = nullifierBytes + keyHashBytes;

const blockBytes = 64;
const digestBytes = 32;
const innerPad = 0x36;
const outerPad = 0x5c;

/** Makes the nullifiers of one election. */
export class NullifierMaker {
  /** The padded key, then room for what is hashed. */
  readonly #inner = Buffer.alloc(blockBytes + voterIdBytesMax);
  readonly #outer = Buffer.alloc(blockBytes + digestBytes);
  /** Of the inner buffer, by length. */
  readonly #innerViews: Buffer[] = [];

  /** An election key: at most one block of bytes. */
  constructor(key: Uint8Array) {
    if (key.length > blockBytes) throw new RangeError("a key longer than a block would have to be hashed first");
    for (let i = 0; i < blockBytes; i++) {
      this.#inner[i] = (key[i] ?? 0) ^ innerPad;
      this.#outer[i] = (key[i] ?? 0) ^ outerPad;
    }
  }

  /** Writes both to `target`; the key hash is zeros without a key. ID and key have been checked: neither is too long. */
  writeIdentity(target: Buffer, offset: number, votes: ReceivedVotes, at: number): void {
    const { bytes } = votes;
    const start = votes.voterStarts[at] ?? 0;
    const length = (votes.voterEnds[at] ?? 0) - start;
    for (let i = 0; i < length; i++) this.#inner[blockBytes + i] = bytes[start + i] ?? 0;
    // Digests are taken as latin1 strings ("binary"), which Node makes faster than Buffers.
    this.#outer.write(
      hash("sha256", viewOf(this.#innerViews, this.#inner, blockBytes + length), "binary"),
      blockBytes,
      "latin1",
    );
    target.write(hash("sha256", this.#outer, "binary"), offset, nullifierBytes, "latin1");
    writeKeyHash(target, offset + nullifierBytes, votes, at);
  }
}

/** Room for the key that is hashed, and its views by length: they are made once, because `hash` takes no offsets. */
const key = Buffer.alloc(idempotencyKeyBytesMax);
const keyViews: Buffer[] = [];

function writeKeyHash(
  target: Buffer,
  offset: number,
  { bytes, keyStarts, keyLengths }: ReceivedVotes,
  at: number,
): void {
  const start = keyStarts[at] ?? 0;
  const length = keyLengths[at] ?? 0;
  if (length === 0) {
    target.fill(0, offset, offset + keyHashBytes);
    return;
  }
  for (let i = 0; i < length; i++) key[i] = bytes[start + i] ?? 0;
  target.write(hash("sha256", viewOf(keyViews, key, length), "binary"), offset, keyHashBytes, "latin1");
}

function viewOf(views: Buffer[], whole: Buffer, length: number): Buffer {
  let view = views[length];
  if (view === undefined) {
    view = whole.subarray(0, length);
    views[length] = view;
  }
  return view;
}
