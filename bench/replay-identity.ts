/** Who casts a replayed ballot: the same file always gives the same voter ids and idempotency keys. */
import { createHash } from "node:crypto";
import { idempotencyKeyBytesMin, voterIdBytesMax } from "#proto/limits.ts";

/** Digits of the largest index of a ballot within its cell. */
const indexDigitsMax = 10;

/** What an idempotency key is the hash of, before the voter id. */
export const replayKeyPrefix = "urna-replay\0";

/**
 * The voter id of a cell's ballots without the index that follows it: the ids of region and option, or their hash where
 * the whole would be longer than a voter id may be. "~" is in no id, so that a hash is never taken for a region.
 */
export function voterIdPrefix(regionId: string, optionId: string): string {
  const plain = `${regionId}/${optionId}/`;
  if (plain.length + indexDigitsMax <= voterIdBytesMax) return plain;
  return `~${createHash("sha256").update(plain).digest("hex").slice(0, 32)}/`;
}

/** SHA-256("urna-replay\0" || voter id), cut to 16 bytes. */
export function replayIdempotencyKey(voterId: string): Buffer {
  return createHash("sha256")
    .update(replayKeyPrefix + voterId)
    .digest()
    .subarray(0, idempotencyKeyBytesMin);
}
