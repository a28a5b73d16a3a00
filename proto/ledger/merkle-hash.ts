/**
 * The hashes of RFC 6962. Leaves and nodes are hashed under different first bytes, so that no node can be passed off as
 * a leaf.
 *
 * A digest is taken as a latin1 string, one character a byte, although bytes are what everybody wants: a string comes out
 * of the engine for a third of the price of a Buffer. 65 bytes on one core of an AMD EPYC with SHA extensions,
 * Node 24.21.0, 2026-11-25: hash(…, "binary") 280 ns, and 315 ns with the write into a Buffer; hash(…, "buffer") 850 ns;
 * createHash().update().digest() 1,160 ns; SHA-256 written in JavaScript 560 ns.
 */
import { hash } from "node:crypto";

/** Bytes of every hash in the tree. */
export const hashBytes = 32;
export const leafPrefix = 0x00;
export const nodePrefix = 0x01;

const leafStart = Buffer.of(leafPrefix);
/** One node as it is hashed: nothing here is kept from one call to the next. */
const node = Buffer.alloc(1 + 2 * hashBytes, nodePrefix);

/** SHA-256 as a latin1 string of 32 characters. */
export function digest(bytes: Uint8Array): string {
  return hash("sha256", bytes, "binary");
}

/** The root of a tree without leaves: SHA-256 of nothing. */
export const emptyRoot: Buffer = Buffer.from(digest(Buffer.alloc(0)), "latin1");

/** SHA-256(0x00 || entry) */
export function leafHash(entry: Uint8Array): Buffer {
  return Buffer.from(digest(Buffer.concat([leafStart, entry])), "latin1");
}

/** SHA-256(0x01 || left || right) */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== hashBytes || right.length !== hashBytes) {
    throw new RangeError(`nodeHash: children of ${left.length} and ${right.length} bytes; each has ${hashBytes}`);
  }
  node.set(left, 1);
  node.set(right, 1 + hashBytes);
  return Buffer.from(digest(node), "latin1");
}
