import { describe, expect, test } from "vitest";
import { type Checkpoint, formatCheckpoint } from "./checkpoint.ts";
import { encodeLeafEntry } from "./leaf-entry.ts";
import { LedgerFormatError } from "./ledger-format-error.ts";
import { leafHash } from "./merkle-hash.ts";
import { formatProofFile, type ProofFile, parseProofFile, verifyProofFile } from "./proof-file.ts";
import { ReferenceTree, someLeafHashes } from "./reference-tree.ts";
import { formatVerifierKey, generateLedgerKey, noteSigner, publicKeyOf, signNote } from "./signed-note.ts";

const name = "town/shard/0";
const key = generateLedgerKey();
const verifierKey = formatVerifierKey(name, publicKeyOf(key));
const entry = {
  electionId: "mayor",
  definitionHash: Buffer.alloc(32, 0xdd),
  nullifier: Buffer.alloc(16, 0x11),
  keyHash: Buffer.alloc(16, 0x22),
  commitment: Buffer.alloc(32, 0xcc),
};
const extra = encodeLeafEntry(entry);
const index = 3;
const tree = new ReferenceTree(someLeafHashes(7).with(index, leafHash(extra)));
const checkpoint: Checkpoint = { origin: name, size: 7, root: tree.root(0, 7), extensions: [] };
const good: ProofFile = { extra, index, hashes: tree.path(index, 0, 7), checkpointNote: signed({}) };
const file = formatProofFile(good);
const text = file.toString();

function signed(change: Partial<Checkpoint>): Buffer {
  return signNote(formatCheckpoint({ ...checkpoint, ...change }), noteSigner(name, key));
}

test("a proof file gives the entry, its index and the checkpoint that it is in", () => {
  expect(verifyProofFile(file, verifierKey)).toEqual({ entry, index, checkpoint });
});

test("a proof file is read as it was written, with extra data and without", () => {
  expect(parseProofFile(file)).toEqual(good);
  const { index, hashes, checkpointNote } = good;
  expect(parseProofFile(formatProofFile({ index, hashes, checkpointNote }))).toEqual({ index, hashes, checkpointNote });
});

test("the only leaf of a tree is proved without hashes", () => {
  const checkpointNote = signed({ size: 1, root: leafHash(extra) });
  const single = formatProofFile({ extra, index: 0, hashes: [], checkpointNote });
  expect(verifyProofFile(single, verifierKey).index).toBe(0);
});

test("a proof file with any one bit flipped is refused", () => {
  for (let bit = 0; bit < file.length * 8; bit++) {
    const flipped = Buffer.from(file);
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    expect(() => verifyProofFile(flipped, verifierKey), `bit ${bit & 7} of byte ${bit >> 3}`).toThrow(
      LedgerFormatError,
    );
  }
});

test("a proof file that was cut off anywhere is refused", () => {
  for (let length = 0; length < file.length; length++) {
    expect(() => verifyProofFile(file.subarray(0, length), verifierKey), `${length} bytes`).toThrow(LedgerFormatError);
  }
});

const hashLine = text.split("\n")[3] ?? expect.fail();
const malformed: [name: string, file: string | Buffer, message: string][] = [
  ["nothing", "", "is empty"],
  ["CRLF", text.replaceAll("\n", "\r\n"), "CRLF"],
  ["bytes that are not UTF-8", Buffer.concat([file, Buffer.of(0xc0, 0x0a)]), "not UTF-8"],
  ["a byte order mark", `\ufeff${text}`, "does not start with"],
  ["a control character", text.replace("index", "in\u0000dex"), "control character"],
  ["another version", text.replace("@v1", "@v2"), "does not start with the line c2sp.org/tlog-proof@v1"],
  ["a last line that does not end", text.slice(0, -1), "cut off"],
  ["no index", text.replace(/index .*\n/, ""), 'no line "index <number>"'],
  ["extra data after the index", text.replace(/(extra .*\n)(index .*\n)/, "$2$1"), "not canonical base64"],
  ["extra data twice", text.replace(/(extra .*\n)/, "$1$1"), 'no line "index <number>"'],
  ["extra data without a space", text.replace("extra ", "extra"), 'no line "index <number>"'],
  ["extra data with another space", text.replace("extra ", "extra  "), "not canonical base64"],
  ["an index with a leading zero", text.replace("index 3", "index 03"), 'index in the proof file "03"'],
  ["an index beyond 2^53 - 1", text.replace("index 3", "index 9007199254740992"), "larger than"],
  ["an index without a number", text.replace("index 3", "index "), "not a decimal number"],
  ["a hash that is too short", text.replace(hashLine, "AAAA"), "3 bytes"],
  ["a hash without padding", text.replace(hashLine, hashLine.slice(0, -1)), "not canonical base64"],
  ["a hash with a space after it", text.replace(hashLine, `${hashLine} `), "not canonical base64"],
  ["more hashes than any tree needs", text.replace(hashLine, Array(53).fill(hashLine).join("\n")), "55 hashes"],
  ["no blank line", "c2sp.org/tlog-proof@v1\nindex 3\n", "no blank line"],
  ["no checkpoint", `${text.slice(0, text.indexOf("\n\n"))}\n\n`, "no checkpoint"],
  ["more bytes than are read", "x".repeat(5_000_000), "5000000 bytes"],
];

describe("no proof file is read from", () => {
  test.each(malformed)("%s", (_, bad, message) => {
    expect(() => parseProofFile(Buffer.from(bad))).toThrow(LedgerFormatError);
    expect(() => parseProofFile(Buffer.from(bad))).toThrow(message);
  });
});

const stranger = noteSigner("witness.example", generateLedgerKey());
const cosigned = Buffer.concat([
  good.checkpointNote,
  Buffer.from(signNote(formatCheckpoint(checkpoint), stranger).toString().split("\n\n")[1] ?? expect.fail()),
]);
const unproved: [name: string, change: Partial<ProofFile>, message: string][] = [
  ["no leaf entry", { extra: undefined }, "no leaf entry"],
  ["extra data that is no leaf entry", { extra: Buffer.from("hello") }, "version 104"],
  ["the entry of another vote", { extra: encodeLeafEntry({ ...entry, keyHash: Buffer.alloc(16) }) }, "does not lead"],
  ["the index of another leaf", { index: 4 }, "does not lead"],
  ["an index beyond the tree", { index: 7 }, "of a tree of 7 leaves"],
  ["a hash too few", { hashes: good.hashes.slice(1) }, "does not lead"],
  ["a hash too many", { hashes: [...good.hashes, Buffer.alloc(32)] }, "does not lead"],
  ["the checkpoint of another tree size", { checkpointNote: signed({ size: 9 }) }, "does not lead"],
  ["the checkpoint of another root", { checkpointNote: signed({ root: tree.root(0, 6) }) }, "does not lead"],
  ["the checkpoint of another log", { checkpointNote: signed({ origin: "town/shard/1" }) }, "of the log town/shard/1"],
  ["a note that is no checkpoint", { checkpointNote: signNote("hello\n", noteSigner(name, key)) }, "three lines"],
  ["a checkpoint that a stranger signed", { checkpointNote: signNote("a\n", stranger) }, `no signature by ${name}`],
  ["a signature that would go unchecked", { checkpointNote: cosigned }, "unknown key, of witness.example"],
];

describe("nothing is proved by a proof file with", () => {
  test.each(unproved)("%s", (_, change, message) => {
    const bad = formatProofFile({ ...good, ...change });
    expect(() => verifyProofFile(bad, verifierKey)).toThrow(LedgerFormatError);
    expect(() => verifyProofFile(bad, verifierKey)).toThrow(message);
  });
});

test("no proof file is written with a hash that has not its length", () => {
  expect(() => formatProofFile({ ...good, hashes: [Buffer.alloc(31)] })).toThrow(LedgerFormatError);
});
