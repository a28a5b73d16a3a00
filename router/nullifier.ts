/**
 * What the shards know of a voter and of a key: HMAC-SHA256(election key, voter ID) and SHA-256(idempotency key), each cut
 * to 16 bytes. Digests are taken as binary (latin1) strings, which Node makes twice as fast as Buffers.
 */
import type { KeyObject } from "node:crypto";
import { createHmac, hash } from "node:crypto";
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";

/** Bytes of a nullifier and a key hash, as `writeIdentity` lays them out: one after the other. */
export const identityBytes = nullifierBytes + keyHashBytes;

/** Writes both to the start of `target`; the key hash is zeros without a key. */
export function writeIdentity(target: Buffer, key: KeyObject, voterId: string, idempotencyKey: Uint8Array): void {
  const digest = createHmac("sha256", key).update(voterId, "latin1").digest("binary");
  target.write(digest, 0, nullifierBytes, "latin1");
  if (idempotencyKey.length === 0) target.fill(0, nullifierBytes, identityBytes);
  else target.write(hash("sha256", idempotencyKey, "binary"), nullifierBytes, keyHashBytes, "latin1");
}
