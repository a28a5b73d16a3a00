/**
 * Signed notes (C2SP signed-note) with Ed25519 keys: a text, a blank line, and a line for each signature over the text.
 *
 *   — <key name> base64(key id[4] || signature[64])
 *
 * A key is known by name and id together. As a text, what verifies it is <key name>+<key id in hex>+base64(0x01 || key).
 */
import type { KeyObject } from "node:crypto";
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, sign, verify } from "node:crypto";
import { decodeLines, demandLines, encodeBase64, parseBase64 } from "#proto/ledger/canonical-text.ts";
import { demandFormat, LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";

/** Bytes of a note that is read: the result of the largest election (proto/limits.ts) has two thirds of them. */
export const noteBytesMax = 4_000_000;
/** Signatures of a note that is read. The standard demands room for 16. */
const signaturesMax = 100;
const keyIdBytes = 4;
const publicKeyBytes = 32;
/** The signature type that ids and verifier keys of Ed25519 name. */
const ed25519 = 0x01;

export type NoteSigner = { readonly name: string; readonly keyId: Buffer; readonly privateKey: KeyObject };
export type NoteVerifier = { readonly name: string; readonly keyId: Buffer; readonly publicKey: KeyObject };

export type VerifiedNote = {
  readonly text: string;
  /** Names of the known keys, at least one, whose signatures verify. */
  readonly verifiedBy: string[];
  /** Names on signatures by keys that are not known: nothing is said about these. */
  readonly unknown: string[];
};

type NoteSignature = { readonly name: string; readonly keyId: Buffer; readonly signature: Buffer };

export function generateLedgerKey(): KeyObject {
  return generateKeyPairSync("ed25519").privateKey;
}

/** PEM of PKCS #8. */
export function encodeLedgerKey(privateKey: KeyObject): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Throws LedgerFormatError unless `pem` is a private Ed25519 key. */
export function decodeLedgerKey(pem: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(pem);
  } catch {
    // What the engine says of it may quote from the key.
  }
  demandFormat(key?.asymmetricKeyType === "ed25519", "the ledger key is not a private Ed25519 key in PEM");
  return key;
}

/** The public half: 32 bytes. */
export function publicKeyOf(privateKey: KeyObject): Buffer {
  return rawPublicKey(createPublicKey(privateKey));
}

/** The bytes of a public key: 32. */
export function rawPublicKey(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
}

/** 4 bytes that tell keys of one name apart. They are no fingerprint: another key with the same id is easily made. */
export function keyId(name: string, publicKey: Uint8Array): Buffer {
  const material = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519), publicKey]);
  return Buffer.from(hash("sha256", material, "hex"), "hex").subarray(0, keyIdBytes);
}

export function noteSigner(name: string, privateKey: KeyObject): NoteSigner {
  demandName(name);
  return { name, keyId: keyId(name, publicKeyOf(privateKey)), privateKey };
}

/** `publicKey` has 32 bytes. */
export function formatVerifierKey(name: string, publicKey: Uint8Array): string {
  demandName(name);
  demandFormat(publicKey.length === publicKeyBytes, `an Ed25519 key has ${publicKeyBytes} bytes`);
  const typed = Buffer.concat([Buffer.of(ed25519), publicKey]);
  return `${name}+${keyId(name, publicKey).toString("hex")}+${encodeBase64(typed)}`;
}

/** Throws LedgerFormatError unless `text` is what formatVerifierKey makes. */
export function parseVerifierKey(text: string): NoteVerifier {
  const [, name, id, base64] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/.exec(text) ?? [];
  demandFormat(
    name !== undefined && id !== undefined && base64 !== undefined,
    "the verifier key is not of the form <name>+<8 hex digits>+<base64>",
  );
  demandName(name);
  const typed = parseBase64("the key in the verifier key", base64);
  demandFormat(typed[0] === ed25519, "the verifier key is not an Ed25519 key");
  const publicKey = typed.subarray(1);
  demandFormat(publicKey.length === publicKeyBytes, `the verifier key has ${publicKey.length} bytes, not 32`);
  demandFormat(
    keyId(name, publicKey).toString("hex") === id,
    `the verifier key's id ${id} is not that of its name and key`,
  );
  const jwk = { kty: "OKP", crv: "Ed25519", x: publicKey.toString("base64url") };
  return { name, keyId: Buffer.from(id, "hex"), publicKey: createPublicKey({ key: jwk, format: "jwk" }) };
}

/** The note of a text and one signature. The text ends with a line feed. */
export function signNote(text: string, signer: NoteSigner): Buffer {
  demandLines("the text of the note", text);
  const signature = sign(null, Buffer.from(text), signer.privateKey);
  const line = `— ${signer.name} ${encodeBase64(Buffer.concat([signer.keyId, signature]))}\n`;
  return Buffer.from(`${text}\n${line}`);
}

/**
 * The text of a note that at least one of `verifiers` has signed. Throws LedgerFormatError when none has, when the
 * signature of one does not verify, and when the note is malformed. Signatures by unknown keys are ignored.
 */
export function verifyNote(note: Uint8Array, verifiers: readonly NoteVerifier[]): VerifiedNote {
  const { text, signatures } = parseNote(note);
  const verifiedBy = new Set<string>();
  const unknown: string[] = [];
  for (const { name, keyId, signature } of signatures) {
    const verifier = verifiers.find((known) => known.name === name && known.keyId.equals(keyId));
    if (verifier === undefined) {
      unknown.push(name);
      continue;
    }
    if (!verify(null, Buffer.from(text), verifier.publicKey, signature)) {
      throw new LedgerFormatError(`the signature by ${name} does not verify: the note is not what ${name} signed`);
    }
    verifiedBy.add(name);
  }
  if (verifiedBy.size === 0) throw new LedgerFormatError(noSignature(verifiers, signatures));
  return { text, verifiedBy: [...verifiedBy], unknown };
}

function noSignature(verifiers: readonly NoteVerifier[], signatures: readonly NoteSignature[]): string {
  const names = verifiers.map(({ name }) => name);
  const namesake = signatures.find(({ name }) => names.includes(name));
  return namesake === undefined
    ? `the note has no signature by ${names.join(" or ")}`
    : `the note's signature by ${namesake.name} is by another key, with id ${namesake.keyId.toString("hex")}`;
}

function parseNote(note: Uint8Array): { text: string; signatures: NoteSignature[] } {
  demandFormat(note.length <= noteBytesMax, `the note has ${note.length} bytes; at most ${noteBytesMax} are read`);
  const whole = decodeLines("the note", note);
  const textEnd = whole.lastIndexOf("\n\n") + 1;
  demandFormat(textEnd > 0, "the note has no blank line between its text and its signatures");
  const lines = whole.slice(textEnd + 1, -1).split("\n");
  demandFormat(lines[0] !== "", "the note has no signatures after its blank line");
  demandFormat(
    lines.length <= signaturesMax,
    `the note has ${lines.length} signatures; at most ${signaturesMax} are read`,
  );
  return { text: whole.slice(0, textEnd), signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): NoteSignature {
  const [, name, base64] = /^— ([^ ]+) ([^ ]+)$/.exec(line) ?? [];
  demandFormat(
    name !== undefined && base64 !== undefined,
    "a signature line of the note is not an em dash, a space, a key name, a space and base64",
  );
  demandName(name);
  const bytes = parseBase64(`the signature by ${name}`, base64);
  demandFormat(bytes.length > keyIdBytes, `the signature by ${name} has only ${bytes.length} bytes`);
  return { name, keyId: bytes.subarray(0, keyIdBytes), signature: bytes.subarray(keyIdBytes) };
}

function demandName(name: string): void {
  demandFormat(name !== "", "a key name is empty");
  demandFormat(!/[\p{White_Space}+]/u.test(name), `the key name "${name}" has a space or a plus sign`);
}
