/**
 * A checkpoint that a shard signed, read and verified. The key's name is the log's, and all generations of a shard's log are
 * signed with one key, so a key that was seen once verifies every checkpoint of the shard.
 */
import { type Checkpoint, claimedOrigin, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";
import { formatVerifierKey, parseVerifierKey, rawPublicKey, verifyNote } from "#proto/ledger/signed-note.ts";
import { type LogOrigin, parseLogOrigin } from "#proto/log-origin.ts";

/** Whose log it is, in whichever generation. */
export type ShardLedger = { readonly deployment: string; readonly shardId: number };

export type SignedCheckpoint = Pick<Checkpoint, "size" | "root"> & {
  readonly generation: number;
  /** The signed note, byte by byte as the shard sent it. */
  readonly note: Buffer;
};

/** The 32 bytes of the key. Throws LedgerFormatError unless it is the verifier key of a log of this shard. */
export function publicKeyIn(verifierKey: string, ledger: ShardLedger): Buffer {
  const { name, publicKey } = parseVerifierKey(verifierKey);
  demandOrigin(name, ledger);
  return rawPublicKey(publicKey);
}

/** Throws LedgerFormatError unless the note is a checkpoint of this shard's log, signed with this key. */
export function readSignedCheckpoint(note: Buffer, publicKey: Uint8Array, ledger: ShardLedger): SignedCheckpoint {
  const origin = claimedOrigin(note);
  const { generation } = demandOrigin(origin, ledger);
  const verifier = parseVerifierKey(formatVerifierKey(origin, publicKey));
  const { size, root } = parseCheckpoint(verifyNote(note, [verifier]).text);
  return { note, generation, size, root };
}

/** Whether the one says less than the other: a generation before it, or the same log when it was shorter. */
export function isBefore(a: SignedCheckpoint, b: SignedCheckpoint): boolean {
  return a.generation === b.generation ? a.size < b.size : a.generation < b.generation;
}

/** Whether both are of one log at one size. Of these, a log that only grows has one root. */
export function areTwins(a: SignedCheckpoint, b: SignedCheckpoint): boolean {
  return a.generation === b.generation && a.size === b.size;
}

function demandOrigin(origin: string, { deployment, shardId }: ShardLedger): LogOrigin {
  const parsed = parseLogOrigin(origin);
  const excerpt = origin.slice(0, originExcerptMax);
  demandFormat(parsed !== undefined, `"${excerpt}" is not the name of a shard's log`);
  demandFormat(
    parsed.deployment === deployment && parsed.shardId === shardId,
    `it is of the log "${excerpt}", not of shard ${shardId} of "${deployment}"`,
  );
  return parsed;
}

const originExcerptMax = 100;
