/**
 * Election keys, wrapped under the routers' own key (AES-256-GCM, the election's id as associated data): shards and their
 * databases keep them and cannot read them. Wrapped form: nonce (12), ciphertext (32), tag (16).
 */
import type { CipherKey } from "node:crypto";
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

export const routerKeyBytes = 32;
const electionKeyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** A fresh election key, wrapped. */
export function makeWrappedKey(routerKey: CipherKey, electionId: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", routerKey, nonce, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(electionId));
  const sealed = Buffer.concat([cipher.update(randomBytes(electionKeyBytes)), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
}

/** Throws when the key was wrapped under another router key, or for another election. */
export function unwrapKey(routerKey: CipherKey, electionId: string, wrapped: Uint8Array): Buffer {
  if (wrapped.length !== nonceBytes + electionKeyBytes + tagBytes)
    throw new Error("a wrapped key has the wrong length");
  const nonce = wrapped.subarray(0, nonceBytes);
  const decipher = createDecipheriv("aes-256-gcm", routerKey, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(electionId));
  decipher.setAuthTag(wrapped.subarray(nonceBytes + electionKeyBytes));
  const sealed = wrapped.subarray(nonceBytes, nonceBytes + electionKeyBytes);
  return Buffer.concat([decipher.update(sealed), decipher.final()]);
}
