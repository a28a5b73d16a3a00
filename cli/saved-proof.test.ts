/** `urna vote --save` and `urna receipt --out`, against a router that may lie in any field. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { verifyProofFile } from "#proto/ledger/proof-file.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";
import { keyHashOf, obtainProof } from "./receipt-proof.ts";
import { routerLies, stranger } from "./router-lies.ts";
import { electionId, otherVotes, ScriptedLedger } from "./scripted-ledger.ts";

const folder = mkdtempSync(join(tmpdir(), "urna-proof-"));
const file = join(folder, "receipt.txt");
const key = Buffer.from("00112233445566778899aabbccddeeff", "hex");
const receiptId = formatReceiptId({ shardId: 0, leafIndex: 6n });
const keyArgs = ["--key", key.toString("hex")];

let ledger: ScriptedLedger;

beforeEach(async () => {
  rmSync(file, { force: true });
  ledger = await new ScriptedLedger().start();
});

afterEach(() => ledger.stop());
afterAll(() => rmSync(folder, { recursive: true }));

const castArgs = ["vote", "--election", electionId, "--voter", "v-17", "--region", "north", ...keyArgs];
const receiptArgs = ["receipt", "--election", electionId, "--voter", "v-17", ...keyArgs];

function urna(...args: string[]) {
  return runCaptured([...args, "--server", ledger.address], folder);
}

test("a vote's proof is saved whole, for its owner's eyes only, and carries the hash of her key", async () => {
  const run = await urna(...castArgs, "--save", "receipt.txt");
  expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
  expect(run.stdout).toContain(`saved     ${file}: the vote is in the log of 7 leaves that urna/shard/0 signed`);
  expect(run.stdout).toContain("The key is the one that the router names: compare it.");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { entry, index, checkpoint } = verifyProofFile(readFileSync(file), ledger.verifierKey);
  expect([index, checkpoint.size]).toEqual([otherVotes, otherVotes + 1]);
  expect(Buffer.from(entry.keyHash)).toEqual(keyHashOf(key));
});

test("the proof can be had again, in a log that has grown, with a key that the user trusts (I8)", async () => {
  await urna(...castArgs, "--save", file, "--json");
  ledger.grow(30);
  const run = await urna(...receiptArgs, "--out", file, "--verifier-key", ledger.verifierKey, "--json");
  expect(run.code).toBe(exitCode.done);
  expect(JSON.parse(run.stdout)).toEqual({
    receipt: { receiptId, electionId, logOrigin: "urna/shard/0", leafIndex: "6" },
    proof: { file, treeSize: "37", verifierKey: ledger.verifierKey },
  });
  expect(verifyProofFile(readFileSync(file), ledger.verifierKey)).toMatchObject({ index: 6, checkpoint: { size: 37 } });
});

test("a checkpoint that covers the vote is waited for", async () => {
  const sizes = [otherVotes, otherVotes];
  ledger.bends.checkpointSize = (leaves) => sizes.shift() ?? leaves;
  const run = await urna(...castArgs, "--save", file, "--json");
  expect(run.code).toBe(exitCode.done);
  expect(sizes).toEqual([]);
  expect(JSON.parse(run.stdout)).toMatchObject({ idempotencyKey: key.toString("hex"), proof: { treeSize: "7" } });
});

test("a checkpoint that never covers the vote ends the wait, and says so", async () => {
  const cast = JSON.parse((await urna(...castArgs, "--json")).stdout);
  ledger.bends.checkpointSize = () => otherVotes;
  const receipt = { ...cast.receipt, leafIndex: BigInt(cast.receipt.leafIndex) };
  const wanted = { receipt, electionId, idempotencyKey: key, verifierKey: undefined };
  const limits = { deadlineMs: 5_000, signal: new AbortController().signal, coverWithinMs: 0 };
  await expect(obtainProof({ address: ledger.address, identity: undefined }, wanted, limits)).rejects.toThrow(
    "the newest checkpoint of urna/shard/0 has 6 leaves and does not cover leaf 6 yet: try again",
  );
});

describe("a router that lies is found out: exit code 1, a sentence, and nothing is written", () => {
  for (const { what, says, bends } of routerLies) {
    test(what, async () => {
      expect((await urna(...castArgs)).code).toBe(exitCode.done);
      ledger.bends = bends(ledger);
      const run = await urna(...receiptArgs, "--out", file);
      expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
      expect(run.stderr).toMatch(/^urna: NOT VERIFIED: [^\n]*$/);
      expect(run.stderr).toContain(says);
      expect(existsSync(file)).toBe(false);
    });
  }

  const foreignEntries = [
    { what: "of another election", change: { electionId: "city" }, says: 'a vote of election "city"' },
    { what: "of another definition", change: { definitionHash: Buffer.alloc(32) }, says: "another definition" },
  ];
  for (const { what, change, says } of foreignEntries) {
    test(`a leaf ${what}, properly in the log`, async () => {
      await urna(...castArgs);
      ledger.entries[otherVotes] = ledger.entry(key, change);
      const run = await urna(...receiptArgs, "--out", file);
      expect(run.code).toBe(exitCode.refused);
      expect(run.stderr).toContain(says);
      expect(existsSync(file)).toBe(false);
    });
  }
});

test("a vote whose proof does not verify is told all the same: with its key the proof can be had later (I3)", async () => {
  ledger.bends.inclusion = ({ entry }) => ({ hashes: [], entry });
  const run = await urna(...castArgs, "--save", file);
  expect(run.code).toBe(exitCode.refused);
  expect(run.stdout).toMatch(/^recorded\nreceipt {3}0-0006-/);
  expect(run.stderr).toContain("The vote is recorded; the proof is not saved.");
  const json = await urna(...castArgs, "--save", file, "--json");
  const [cast, failure] = json.stdout.split("\n").map((line) => JSON.parse(line));
  expect(cast).toMatchObject({ receipt: { electionId }, idempotencyKey: key.toString("hex") });
  expect(failure).toMatchObject({ error: { reason: "NOT_VERIFIED" } });
});

describe("what cannot be saved is found before a vote is cast", () => {
  mkdirSync(join(folder, "taken"));
  const unusable = [
    { what: "a file in no folder", args: ["--save", join(folder, "none", "receipt.txt")], code: exitCode.usage },
    { what: "a folder", args: ["--save", join(folder, "taken")], code: exitCode.usage },
    { what: "a key without a file", args: ["--verifier-key", "k"], code: exitCode.usage },
    { what: "a malformed key", args: ["--save", file, "--verifier-key", "k"], code: exitCode.refused },
  ];
  for (const { what, args, code } of unusable) {
    test(what, async () => {
      expect((await urna(...castArgs, ...args)).code).toBe(code);
      expect(ledger.entries).toHaveLength(otherVotes);
    });
  }
});

test("a trusted key of another log refuses the proof, and leaves the file that is there as it was", async () => {
  writeFileSync(file, "an earlier receipt");
  const run = await urna(...castArgs, "--save", file, "--verifier-key", stranger.verifierKey);
  expect(run.code).toBe(exitCode.refused);
  expect(run.stderr).toContain(
    "the vote is in the log urna/shard/0, but the verifier key is that of elsewhere/shard/0",
  );
  expect(readFileSync(file, "utf8")).toBe("an earlier receipt");
});
