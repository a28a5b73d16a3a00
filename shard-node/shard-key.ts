/** The key that a shard signs its checkpoints with. All nodes of a shard have the same one, and its head names it. */
import { createHash, type KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { decodeLedgerKey, publicKeyOf } from "#proto/ledger/signed-note.ts";

export type ShardKey = {
  readonly privateKey: KeyObject;
  /** Of Ed25519: 32 bytes. */
  readonly publicKey: Buffer;
  /** SHA-256 of the public key. */
  readonly fingerprint: Buffer;
};

const othersMask = 0o077;

/** Throws an Error that names the file when it is no Ed25519 key in PEM, or when others may read it. */
export function readShardKey(file: string): ShardKey {
  const mode = statSync(file).mode & 0o777;
  if ((mode & othersMask) !== 0) {
    throw new Error(
      `${file} may be read by others (mode ${mode.toString(8)}): who has it can sign for the shard; chmod 600`,
    );
  }
  let privateKey: KeyObject;
  try {
    privateKey = decodeLedgerKey(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new Error(`${file} holds no Ed25519 private key in PEM`, { cause });
  }
  const publicKey = publicKeyOf(privateKey);
  return { privateKey, publicKey, fingerprint: createHash("sha256").update(publicKey).digest() };
}
