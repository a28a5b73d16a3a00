/** `urna verify`: no server is there. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { formatProofFile } from "#proto/ledger/proof-file.ts";
import { formatVerifierKey, generateLedgerKey, publicKeyOf } from "#proto/ledger/signed-note.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";
import { checkReceipt } from "./receipt-check.ts";
import { formatResultDocument, verifyResultDocument } from "./result-document.ts";
import { electionId, otherVotes, ScriptedLedger } from "./scripted-ledger.ts";
import type { ResultChange } from "./scripted-result.ts";
import { ScriptedResult } from "./scripted-result.ts";
import { givenVerifiers } from "./verifier-keys.ts";

const folder = mkdtempSync(join(tmpdir(), "urna-verify-"));
afterAll(() => rmSync(folder, { recursive: true }));

const key = Buffer.from("00112233445566778899aabbccddeeff", "hex");

/** A log of one shard, of which the receipt is the last leaf. */
const ledger = new ScriptedLedger();
ledger.entries.push(ledger.entry(key));
const { verifierKey } = ledger;
const receipt = receiptOf(ledger);

function receiptOf(log: ScriptedLedger): Buffer {
  const size = log.entries.length;
  return formatProofFile({
    extra: log.entries[otherVotes],
    index: otherVotes,
    hashes: log.tree().path(otherVotes, 0, size),
    checkpointNote: log.signedCheckpoint(size),
  });
}

let files = 0;

/** A file with these bytes. */
function file(bytes: string | Uint8Array): string {
  const path = join(folder, `file-${files++}`);
  writeFileSync(path, bytes);
  return path;
}

function verify(bytes: string | Uint8Array, ...args: string[]) {
  return runCaptured(["verify", file(bytes), ...args], folder);
}

const trust = (...keys: string[]) => keys.flatMap((trusted) => ["--verifier-key", trusted]);
const another = new ScriptedLedger("elsewhere");

/** Each has one bit flipped, and all together one of every byte; proto/ledger flips every bit of a receipt. */
function flips(bytes: Buffer): Buffer[] {
  return [...bytes].map((byte, at) => {
    const flipped = Buffer.from(bytes);
    flipped[at] = byte ^ (1 << (at % 8));
    return flipped;
  });
}

describe("a receipt that verifies", () => {
  test("is said to prove what it proves, and what it does not", async () => {
    const run = await verify(receipt, ...trust(verifierKey), "--key", key.toString("hex"));
    expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
    const words = run.stdout.replace(/\s+/g, " ");
    for (const said of [
      "VERIFIED: this receipt election town",
      "The log urna/shard/0, as signed at 7 leaves, contains at leaf 6 a vote in election town",
      "of this (pseudonymous) voter",
      "the vote that was cast with the idempotency key given, and so of no other voter's",
      "It does not prove: - How the vote was cast.",
      "That no voters were invented.",
      "That the machine that cast the vote sent what its user wanted.",
      "That the key is the right one. It must come from a place that you trust",
    ]) {
      expect(words).toContain(said);
    }
  });

  test("says without --key that it does not show whose it is", async () => {
    const run = await verify(receipt, ...trust(verifierKey));
    expect(run.code).toBe(exitCode.done);
    expect(run.stdout).toContain("That it is your receipt, and not another voter's.");
  });

  test("finds its key among those of all shards, and answers JSON", async () => {
    const run = await verify(receipt, ...trust(another.verifierKey, verifierKey), "--json");
    expect(JSON.parse(run.stdout)).toMatchObject({
      verified: true,
      kind: "receipt",
      election_id: electionId,
      log_origin: "urna/shard/0",
      tree_size: 7,
      leaf_index: 6,
      verifier_key: verifierKey,
      key_matches: null,
    });
  });

  test("is not that of a vote with another key", async () => {
    const run = await verify(receipt, ...trust(verifierKey), "--key", "ff".repeat(16));
    expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
    expect(run.stderr).toContain("cast with another idempotency key than --key");
  });
});

const text = receipt.toString();
const changedReceipts: readonly { what: string; bytes: string | Uint8Array; says: string }[] = [
  { what: "empty", bytes: "", says: "the proof file is empty" },
  { what: "cut off in a line", bytes: text.slice(0, 100), says: "it may have been cut off" },
  { what: "cut off after a line", bytes: text.slice(0, text.indexOf("\n\n") + 1), says: "it may have been cut off" },
  { what: "without its signature", bytes: text.slice(0, text.lastIndexOf("\n\n") + 2), says: "no signatures" },
  { what: "with CRLF", bytes: text.replaceAll("\n", "\r\n"), says: "not CRLF" },
  { what: "with a wrong header", bytes: text.replace("@v1", "@v2"), says: "does not start with the line" },
  { what: "that is something else", bytes: "Dear voter,\n", says: "does not start with the line" },
  { what: "that is not text", bytes: Buffer.from([0xff, 0xfe, 0x00]), says: "is not UTF-8" },
  { what: "of another leaf", bytes: text.replace("index 6", "index 5"), says: "does not lead from the entry" },
  { what: "of another deployment", bytes: receiptOf(withVote(another)), says: "to be of the log elsewhere/shard/0" },
];

function withVote(log: ScriptedLedger): ScriptedLedger {
  log.entries.push(log.entry(key));
  return log;
}

describe("a receipt is refused with exit code 1 and a sentence", () => {
  for (const { what, bytes, says } of changedReceipts) {
    test(what, async () => {
      const run = await verify(bytes, ...trust(verifierKey));
      expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
      expect(run.stderr).toMatch(/^urna: NOT VERIFIED: [^\n]*$/);
      expect(run.stderr).toContain(says);
    });
  }

  const wrongKeys = [
    { what: "that is no key", key: "secret", says: "the verifier key is not of the form" },
    { what: "that was cut off", key: verifierKey.slice(0, -5), says: "verifier key" },
    { what: "of another algorithm", key: verifierKey.replace(/\+A/, "+B"), says: "not an Ed25519 key" },
    { what: "with a wrong id", key: verifierKey.replace(/\+[0-9a-f]{8}\+/, "+00000000+"), says: "is not that of" },
    { what: "of another deployment", key: another.verifierKey, says: "the verifier key given is of elsewhere/shard/0" },
    {
      what: "of the same name, and not the one that signed",
      key: formatVerifierKey("urna/shard/0", publicKeyOf(generateLedgerKey())),
      says: "is by another key",
    },
  ];
  for (const { what, key: wrong, says } of wrongKeys) {
    test(`with a verifier key ${what}`, async () => {
      const run = await verify(receipt, ...trust(wrong));
      expect(run.code).toBe(exitCode.refused);
      expect(run.stderr).toContain(says);
      const json = await verify(receipt, ...trust(wrong), "--json");
      expect(JSON.parse(json.stdout)).toMatchObject({ error: { reason: "NOT_VERIFIED" } });
    });
  }

  test("with two verifier keys of one name: which is trusted?", async () => {
    const second = formatVerifierKey("urna/shard/0", publicKeyOf(generateLedgerKey()));
    const run = await verify(receipt, ...trust(verifierKey, second));
    expect(run.stderr).toContain("two --verifier-key are of urna/shard/0");
  });

  test("with a bit flipped in any of its bytes", () => {
    const questions = { idempotencyKey: undefined, result: undefined };
    expect(checkReceipt(receipt, [verifierKey], questions).index).toBe(6);
    for (const [at, flipped] of flips(receipt).entries()) {
      expect(() => checkReceipt(flipped, [verifierKey], questions), `byte ${at}`).toThrow(/./);
    }
  });
});

/** What two shards signed: the shard of the receipt is one. */
const result = new ScriptedResult(ledger);
const document = result.document();

describe("a result that verifies", () => {
  test("shows the totals, and says what it does not prove", async () => {
    const run = await verify(document, ...trust(...result.verifierKeys));
    expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
    expect(run.stdout).toMatch(/^VERIFIED: the result of election town, signed by 2 shards$/m);
    expect(run.stdout).toMatch(/^ {2}ballots {5}12$/m);
    expect(run.stdout).toMatch(/^mayor +ann +7$/m);
    expect(run.stdout).toMatch(/^mayor +\(undervotes\) +1$/m);
    expect(run.stdout).toContain("That these are all shards.");
    const json = JSON.parse((await verify(document, ...trust(...result.verifierKeys), "--json")).stdout);
    expect(json).toMatchObject({ verified: true, kind: "result", totals: { ballots: 12 } });
  });

  test("counts the vote of a receipt that came before the close", async () => {
    const args = [...trust(...result.verifierKeys), "--result", file(document)];
    const run = await verify(receipt, ...args);
    expect(run.code).toBe(exitCode.done);
    expect(run.stdout.replace(/\s+/g, " ")).toContain("The signed result counts this log up to 7 leaves");
    expect(JSON.parse((await verify(receipt, ...args, "--json")).stdout)).toMatchObject({ closed_at_size: 7 });
  });
});

const misfits: readonly { what: string; change: ResultChange; says: string }[] = [
  { what: "of another election", change: { electionId: "city" }, says: "the result is of another election" },
  { what: "of another definition", change: { definitionHash: Buffer.alloc(32) }, says: "or another definition" },
  { what: "that closed before it", change: { size: 6 }, says: "leaf 6 came after the close" },
  { what: "of another log", change: { origin: "urna/shard/0/2" }, says: "lacks what urna/shard/0 signed" },
  { what: "of another tree of its size", change: { root: Buffer.alloc(32) }, says: "two different trees of 7 leaves" },
];

describe("a receipt and a result that do not fit are refused", () => {
  for (const { what, change, says } of misfits) {
    test(`a result ${what}`, async () => {
      const other = new ScriptedResult(ledger, { all: change });
      const keys = [verifierKey, ...other.verifierKeys.filter((known) => known !== verifierKey)];
      const otherFile = file(other.document());
      const run = await verify(receipt, ...trust(...keys), "--result", otherFile);
      expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
      expect(run.stderr).toContain(says);
    });
  }
});

const changedResults: readonly { what: string; document: string; says: string }[] = [
  { what: "cut off", document: document.slice(0, 300), says: "is not JSON; it may have been cut off" },
  { what: "of an unknown version", document: document.replace("1,", "2,"), says: "schema_version 2" },
  {
    what: "with a total that is one more",
    document: document.replace('"ballots": 12', '"ballots": 13'),
    says: "totals",
  },
  { what: "with votes moved", document: document.replace('"votes": 7', '"votes": 6'), says: "totals" },
  { what: "with another election's name", document: document.replace('"town"', '"city"'), says: 'election "city"' },
  { what: "with CRLF", document: document.replaceAll("\n", "\r\n"), says: "changed after it was written" },
  { what: "with CRLF in a note", document: document.replaceAll("\\n", "\\r\\n"), says: "carriage return" },
  { what: "spelled anew", document: JSON.stringify(JSON.parse(document)), says: "changed after it was written" },
  {
    what: "with a further field",
    document: document.replace("{", '{ "more": 1,'),
    says: "changed after it was written",
  },
  {
    what: "with a count changed in a note",
    document: document.replace("mayor ann 3", "mayor ann 4"),
    says: "does not verify",
  },
  {
    what: "without shards",
    document: `${document.slice(0, document.indexOf('"shards"'))}"shards": []}`,
    says: "no shards",
  },
  { what: "that is empty", document: "{}", says: "schema_version" },
  {
    what: "whose shards are a number",
    document: '{"schema_version":1,"election_id":"town","shards":1}',
    says: "not a list",
  },
  {
    what: "whose shard is nothing",
    document: '{"schema_version":1,"election_id":"town","shards":[null]}',
    says: "not an object",
  },
  {
    what: "whose note is a number",
    document: '{"schema_version":1,"election_id":"town","shards":[{"shard_id":0,"signed_note":1}]}',
    says: "not a text",
  },
];

describe("a result is refused with exit code 1 and a sentence", () => {
  for (const { what, document: changed, says } of changedResults) {
    test(what, async () => {
      const run = await verify(changed, ...trust(...result.verifierKeys));
      expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
      expect(run.stderr).toMatch(/^urna: NOT VERIFIED: [^\n]*$/);
      expect(run.stderr).toContain(says);
    });
  }

  const disagreements: readonly { what: string; change: ResultChange; says: string }[] = [
    { what: "another election", change: { electionId: "city" }, says: 'election "city", not of "town"' },
    { what: "another definition", change: { definitionHash: Buffer.alloc(32) }, says: "another definition" },
    { what: "other options", change: { options: ["ann", "zoe"] }, says: "another definition" },
    { what: "another deployment", change: { origin: "elsewhere/shard/1" }, says: "another deployment" },
    { what: "another shard's number", change: { origin: "urna/shard/7" }, says: "the log of shard 1" },
    { what: "counts beyond all numbers", change: { count: Number.MAX_SAFE_INTEGER }, says: "counted exactly" },
  ];
  for (const { what, change, says } of disagreements) {
    test(`when one shard signed one of ${what}`, async () => {
      const lying = new ScriptedResult(ledger, { second: change });
      const run = await verify(lying.roughDocument(), ...trust(...lying.verifierKeys));
      expect(run.code).toBe(exitCode.refused);
      expect(run.stderr).toContain(says);
    });
  }

  test("when the key of one of its shards is not given", async () => {
    const run = await verify(document, ...trust(verifierKey));
    expect(run.stderr).toContain("no signature by urna/shard/0");
  });

  test("when it lacks a shard whose key is given", async () => {
    const [first] = result.notes();
    const alone = new ScriptedResult(ledger).roughDocument(first === undefined ? [] : [first]);
    const run = await verify(alone, ...trust(...result.verifierKeys));
    expect(run.stderr).toContain("lacks what urna/shard/1 signed, whose key was given: a shard is missing");
  });

  test("when a shard is in it twice", async () => {
    const [first] = result.notes();
    const twice = result.roughDocument(first === undefined ? [] : [first, first]);
    expect((await verify(twice, ...trust(verifierKey))).stderr).toContain("not in order, each of them once");
  });

  test("with a bit flipped in any of its bytes", () => {
    const verifiers = givenVerifiers(result.verifierKeys);
    const bytes = Buffer.from(document);
    expect(formatResultDocument(verifyResultDocument(bytes, verifiers))).toBe(document);
    for (const [at, flipped] of flips(bytes).entries()) {
      expect(() => verifyResultDocument(flipped, verifiers), `byte ${at}`).toThrow(/./);
    }
  });
});

const wrongUse = [
  { what: "no verifier key", args: [file(receipt)], says: "--verifier-key" },
  { what: "a file that is not there", args: [join(folder, "none"), ...trust(verifierKey)], says: "cannot be read" },
  { what: "a folder", args: [folder, ...trust(verifierKey)], says: "cannot be read" },
  { what: "a key with a result", args: [file(document), ...trust(verifierKey), "--key", "00"], says: "is a result" },
  { what: "half a key", args: [file(receipt), ...trust(verifierKey), "--key", "00"], says: "16 to 32 bytes" },
];

describe("wrong use ends with exit code 2", () => {
  for (const { what, args, says } of wrongUse) {
    test(what, async () => {
      const run = await runCaptured(["verify", ...args], folder);
      expect(run.code).toBe(exitCode.usage);
      expect(run.stderr).toContain(says);
    });
  }
});
