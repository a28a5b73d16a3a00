import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { LedgerFormatError } from "./ledger-format-error.ts";
import {
  decodeLedgerKey,
  encodeLedgerKey,
  formatVerifierKey,
  generateLedgerKey,
  keyId,
  noteSigner,
  parseVerifierKey,
  publicKeyOf,
  signNote,
  verifyNote,
} from "./signed-note.ts";

const key = generateLedgerKey();
const signer = noteSigner("town/shard/0", key);
const verifier = parseVerifierKey(formatVerifierKey("town/shard/0", publicKeyOf(key)));
const stranger = noteSigner("witness.example", generateLedgerKey());
const namesake = noteSigner("town/shard/0", generateLedgerKey());
const text = "first line\nsecond line\n";
const note = signNote(text, signer).toString();
const signature = lineOf(note);

function lineOf(signed: Buffer | string): string {
  return signed.toString().split("\n").at(-2) ?? expect.fail();
}

/** The example of Go's package golang.org/x/mod/sumdb/note. */
const published = {
  verifier: "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  signature:
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
};

test("a published note verifies with its published key", () => {
  const known = parseVerifierKey(published.verifier);
  const verified = verifyNote(Buffer.from(`${published.text}\n${published.signature}`), [known]);
  expect(verified).toEqual({ text: published.text, verifiedBy: ["PeterNeumann"], unknown: [] });
});

test("a note that is signed verifies, and gives its text", () => {
  expect(verifyNote(Buffer.from(note), [verifier])).toEqual({ text, verifiedBy: ["town/shard/0"], unknown: [] });
});

test("a text may have blank lines: the last one of the note ends it", () => {
  const poem = "one\n\ntwo\n\n\n";
  expect(verifyNote(signNote(poem, signer), [verifier]).text).toBe(poem);
});

test("signatures by unknown keys are ignored, also one under a known name", () => {
  const others = [stranger, namesake].map((other) => lineOf(signNote("anything\n", other)));
  const all = [text, others[0], signature, others[1], ""].join("\n");
  const verified = verifyNote(Buffer.from(all), [verifier]);
  expect(verified).toEqual({ text, verifiedBy: ["town/shard/0"], unknown: ["witness.example", "town/shard/0"] });
});

test("a note with sixteen signatures is read", () => {
  const others = Array.from({ length: 15 }, (_, i) => lineOf(signNote(text, noteSigner(`w${i}`, key))));
  expect(verifyNote(Buffer.from([text, ...others, signature, ""].join("\n")), [verifier]).verifiedBy).toEqual([
    signer.name,
  ]);
});

const badNotes: [name: string, note: string | Buffer, message: string][] = [
  ["nothing", "", "empty"],
  ["lines that end with CRLF", note.replaceAll("\n", "\r\n"), "CRLF"],
  ["a control character", note.replace("first", "fi\trst"), "control character"],
  ["bytes that are not UTF-8", Buffer.concat([Buffer.of(0xff), Buffer.from(note)]), "not UTF-8"],
  ["a last line without its end", note.slice(0, -1), "cut off"],
  ["no blank line", `${text}${signature}\n`, "no blank line"],
  ["no signatures", `${text}\n`, "no signatures"],
  ["a text alone", text, "no blank line"],
  ["a blank line after the signatures", `${note}\n`, "no signatures"],
  ["a signature line without a dash", note.replace("— ", ""), "em dash"],
  ["a hyphen for the em dash", note.replace("— ", "- "), "em dash"],
  ["a signature line with a third part", `${note.slice(0, -1)} more\n`, "em dash"],
  ["a key name with a plus sign", note.replace("town/", "town+"), "plus sign"],
  ["a key name with a no-break space", note.replace("town/", "town\u00a0"), "has a space"],
  ["a key name with a next-line character", note.replace("town/", "town\u0085"), "has a space"],
  ["a signature that is not base64", note.replace(signature, "— town/shard/0 ?"), "not canonical base64"],
  ["base64 without its padding", note.replace("=\n", "\n"), "not canonical base64"],
  ["base64 of the URL alphabet", `${text}\n— a _-8=\n`, "not canonical base64"],
  ["base64 with unused bits set", `${text}\n— a AAAAAAB=\n`, "not canonical base64"],
  ["a signature that is a key id alone", `${text}\n— town/shard/0 AAAAAA==\n`, "only 4 bytes"],
  [
    "a signature by nobody who is known",
    `${text}\n${lineOf(signNote(text, stranger))}\n`,
    "no signature by town/shard/0",
  ],
  [
    "a signature by another key of the same name",
    `${text}\n${lineOf(signNote(text, namesake))}\n`,
    "is by another key",
  ],
  ["a signature over another text", note.replace("second", "changed"), "by town/shard/0 does not verify"],
  ["a known key's bad signature before its good one", badThenGood(), "by town/shard/0 does not verify"],
  ["more signatures than are read", `${text}\n${`${signature}\n`.repeat(101)}`, "101 signatures"],
  ["more bytes than are read", "x".repeat(4_000_001), "4000001 bytes"],
];

function badThenGood(): string {
  return `${text}\n${lineOf(signNote("other\n", signer))}\n${signature}\n`;
}

describe("a note is refused that has", () => {
  test.each(badNotes)("%s", (_, bad, message) => {
    expect(() => verifyNote(Buffer.from(bad), [verifier])).toThrow(LedgerFormatError);
    expect(() => verifyNote(Buffer.from(bad), [verifier])).toThrow(message);
  });
});

const badTexts: [name: string, text: string][] = [
  ["an empty text", ""],
  ["a text whose last line does not end", "a"],
  ["a text with a carriage return", "a\r\n"],
  ["a text with a control character", "a\u0000\n"],
];

describe("nobody signs", () => {
  test.each(badTexts)("%s", (_, bad) => {
    expect(() => signNote(bad, signer)).toThrow(LedgerFormatError);
  });
});

const vkey = formatVerifierKey("town/shard/0", publicKeyOf(key));
const short = Buffer.concat([Buffer.of(1), Buffer.alloc(31)]).toString("base64");
const otherType = Buffer.concat([Buffer.of(2), publicKeyOf(key)]).toString("base64");
const badVerifierKeys: [name: string, text: string, message: string][] = [
  ["nothing", "", "not of the form"],
  ["a name alone", "town/shard/0", "not of the form"],
  ["a key without a name", vkey.replace("town/shard/0", ""), "empty"],
  ["a name with a space", vkey.replace("town/", "town "), "has a space"],
  ["an id of seven digits", vkey.replace(/\+(.)/, "+"), "not of the form"],
  ["the id of another key", vkey.replace(/\+[0-9a-f]{8}\+/, "+00000000+"), "is not that of its name and key"],
  ["the key of another name", vkey.replace("town", "city"), "is not that of its name and key"],
  ["a key that is not base64", "a+00000000+?", "not canonical base64"],
  ["a key with a line feed after it", `${vkey}\n`, "not of the form"],
  ["a key of another type", `a+00000000+${otherType}`, "not an Ed25519 key"],
  ["a key that is too short", `a+00000000+${short}`, "31 bytes"],
];

describe("no verifier key is read from", () => {
  test.each(badVerifierKeys)("%s", (_, bad, message) => {
    expect(() => parseVerifierKey(bad)).toThrow(LedgerFormatError);
    expect(() => parseVerifierKey(bad)).toThrow(message);
  });
});

test.each(["", "a b", "a+b", "a\u2003b"])("nobody signs under the name %j", (name) => {
  expect(() => noteSigner(name, key)).toThrow(LedgerFormatError);
  expect(() => formatVerifierKey(name, publicKeyOf(key))).toThrow(LedgerFormatError);
});

test("a key's id is the published one", () => {
  const { publicKey } = parseVerifierKey(published.verifier);
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  expect(keyId("PeterNeumann", raw).toString("hex")).toBe("c74f20a3");
  expect(formatVerifierKey("PeterNeumann", raw)).toBe(published.verifier);
});

test("a ledger key is read from PEM as it was written", () => {
  expect(publicKeyOf(decodeLedgerKey(encodeLedgerKey(key)))).toEqual(publicKeyOf(key));
});

const badKeys: [name: string, pem: string][] = [
  ["nothing", ""],
  ["a public key", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"],
  ["a key of another kind", encodeLedgerKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey)],
];

describe("no ledger key is read from", () => {
  test.each(badKeys)("%s", (_, pem) => {
    expect(() => decodeLedgerKey(pem)).toThrow(LedgerFormatError);
  });
});
