/** Receipts and results of a running cluster: cast, proved, kept, and checked again by whoever has the file and the key. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { verifyConsistency } from "#proto/ledger/merkle-proof.ts";
import { verifyProofFile } from "#proto/ledger/proof-file.ts";
import { parseVerifierKey, verifyNote } from "#proto/ledger/signed-note.ts";
import type { CapturedRun } from "./captured-run.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const startLimitMs = 120_000;
const testLimitMs = 60_000;
const callLimitMs = 10_000;
const definition = join(import.meta.dirname, "../docs/town.json");
const key = "00112233445566778899aabbccddeeff";

const folder = mkdtempSync(join(tmpdir(), "urna-ledger-"));
const saved = join(folder, "receipt.txt");
const again = join(folder, "receipt-again.txt");
const resultFile = join(folder, "result.json");
let cluster: EmbeddedCluster;
let ledger: Client<typeof LedgerService>;
let votes: Client<typeof VoteService>;
/** By shard id, as `urna keys` lists them. */
let keys: string[] = [];

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ dir: join(folder, ".urna"), shards: 2, portBase: 0 });
  const router = cluster.endpoints.routers[0]?.grpc ?? "";
  ledger = createClient(LedgerService, router);
  votes = createClient(VoteService, router);
  for (const args of [
    ["create", definition],
    ["open", "town"],
  ]) {
    expect((await urna("election", ...args)).code).toBe(exitCode.done);
  }
}, startLimitMs);

afterAll(async () => {
  ledger?.close();
  votes?.close();
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
}, startLimitMs);

function urna(...args: string[]): Promise<CapturedRun> {
  return runCaptured(args, folder);
}

function cast(voter: string, ...args: string[]): Promise<CapturedRun> {
  const vote = ["--region", "north/ward-1", "--select", "mayor=ann"];
  return urna("vote", "--election", "town", "--voter", voter, ...vote, ...args);
}

const trustAll = () => keys.flatMap((verifierKey) => ["--verifier-key", verifierKey]);

/** The receipt's file, with the key of its log. */
function proofIn(file: string) {
  const bytes = readFileSync(file);
  const verifierKey = keys.find((known) => bytes.includes(`\n${parseVerifierKey(known).name}\n`)) ?? "";
  return { ...verifyProofFile(bytes, verifierKey), verifierKey };
}

async function checkpointOf(shardId: number) {
  const { signedNote } = await ledger.getCheckpoint({ shardId }, { deadlineMs: callLimitMs });
  return parseCheckpoint(verifyNote(signedNote, [parseVerifierKey(keys[shardId] ?? "")]).text);
}

// The tests below are one story, told in order.

test("every shard has a key, which is that of its log", { timeout: testLimitMs }, async () => {
  const run = await urna("keys", "--json");
  expect(run.code).toBe(exitCode.done);
  const listed: { shard_id: number; verifier_key: string }[] = JSON.parse(run.stdout);
  expect(listed.map((entry) => Object.keys(entry))).toEqual([
    ["shard_id", "verifier_key"],
    ["shard_id", "verifier_key"],
  ]);
  keys = listed.map(({ verifier_key }) => verifier_key);
  expect(keys.map((known) => parseVerifierKey(known).name)).toEqual(["urna/shard/0", "urna/shard/1"]);
});

test("a vote is cast, its proof is saved, and it verifies without any server (I8)", {
  timeout: testLimitMs,
}, async () => {
  const run = await cast("v-1", "--key", key, "--save", saved);
  expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
  expect(statSync(saved).mode & 0o777).toBe(0o600);
  const { verifierKey } = proofIn(saved);
  const args = ["verify", saved, "--verifier-key", verifierKey, "--key", key];
  const checked = await runCaptured(args, tmpdir());
  expect(checked).toMatchObject({ code: exitCode.done, stderr: "" });
  expect(checked.stdout).toContain("VERIFIED: this receipt");
  expect(checked.stdout).toContain(`That the key is the right one.`);
});

test("the same receipt can be got again, and proves the same leaf in the log that has grown (I3, I8)", {
  timeout: testLimitMs,
}, async () => {
  for (let voter = 2; voter <= 20; voter++) expect((await cast(`v-${voter}`)).code).toBe(exitCode.done);
  const before = proofIn(saved);
  const run = await urna(
    "receipt",
    "--election",
    "town",
    "--voter",
    "v-1",
    "--key",
    key,
    "--out",
    again,
    ...["--verifier-key", before.verifierKey],
  );
  expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
  const after = proofIn(again);
  expect(after).toMatchObject({ entry: before.entry, index: before.index, verifierKey: before.verifierKey });
  const shardId = keys.indexOf(before.verifierKey);
  const newest = await checkpointOf(shardId);
  expect(newest.size).toBeGreaterThan(0);
  const sizes = { oldSize: BigInt(before.checkpoint.size), newSize: BigInt(newest.size) };
  const { hashes } = await ledger.getConsistencyProof({ shardId, ...sizes }, { deadlineMs: callLimitMs });
  const { size: oldSize, root: oldRoot } = before.checkpoint;
  const claim = { oldSize, oldRoot, newSize: newest.size, newRoot: newest.root, proof: hashes };
  expect(verifyConsistency(claim)).toBe(true);
});

test("a vote that is sent again gets the proof of its first leaf (I3)", { timeout: testLimitMs }, async () => {
  const repeat = await cast("v-1", "--key", key, "--save", again, "--json");
  expect(JSON.parse(repeat.stdout)).toMatchObject({ repeat: true, proof: { file: again } });
  expect(proofIn(again)).toMatchObject({ entry: proofIn(saved).entry, index: proofIn(saved).index });
});

test("in an election that is keyed by ballots, a ballot's proof is saved, and got again", {
  timeout: testLimitMs,
}, async () => {
  const ballots = join(folder, "ballots.json");
  const voters = JSON.parse(readFileSync(definition, "utf8"));
  writeFileSync(ballots, JSON.stringify({ ...voters, electionId: "ballots", keyKind: "KEY_KIND_BALLOT" }));
  for (const args of [
    ["create", ballots],
    ["open", "ballots"],
  ])
    await urna("election", ...args);
  const file = join(folder, "ballot.txt");
  const ballot = ["--election", "ballots", "--ballot", "b-1", "--key", key];
  const run = await urna("vote", ...ballot, "--region", "north/ward-1", "--select", "mayor=bob", "--save", file);
  expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
  const first = proofIn(file);
  expect(first.entry.electionId).toBe("ballots");
  rmSync(file);
  expect((await urna("receipt", ...ballot, "--out", file)).code).toBe(exitCode.done);
  expect(proofIn(file)).toMatchObject({ entry: first.entry, index: first.index });
});

describe("nobody but whoever has the idempotency key gets a voter's receipt", () => {
  const request = { electionId: "town", voter: { case: "voterId" as const, value: "v-1" } };
  const wrongKeys = [
    { what: "no key", idempotencyKey: Buffer.of(), reason: "INVALID_REQUEST" },
    { what: "a key of zeros", idempotencyKey: Buffer.alloc(16), reason: "NOT_FOUND" },
    { what: "another key", idempotencyKey: Buffer.alloc(16, 0xff), reason: "NOT_FOUND" },
    { what: "half the key", idempotencyKey: Buffer.from(key, "hex").subarray(0, 8), reason: "INVALID_REQUEST" },
    { what: "the key and more", idempotencyKey: Buffer.from(`${key}00`, "hex"), reason: "NOT_FOUND" },
  ];
  for (const { what, idempotencyKey, reason } of wrongKeys) {
    test(`with ${what}: ${reason}`, { timeout: testLimitMs }, async () => {
      const asking = votes.getReceipt({ ...request, idempotencyKey }, { deadlineMs: callLimitMs });
      await expect(asking).rejects.toMatchObject({ reason });
      const json = { electionId: "town", voterId: "v-1", idempotencyKey: idempotencyKey.toString("base64") };
      expect(await postJson("VoteService/GetReceipt", json)).toMatchObject({ reason });
    });
  }

  test("the command writes nothing for another key", { timeout: testLimitMs }, async () => {
    const stolen = join(folder, "stolen.txt");
    const run = await urna(
      "receipt",
      "--election",
      "town",
      "--voter",
      "v-1",
      "--key",
      "ff".repeat(16),
      "--out",
      stolen,
    );
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("NOT_FOUND");
    expect(() => statSync(stolen)).toThrow("ENOENT");
  });
});

/** A call as Connect JSON: the answer, or its catalogue id and message. */
async function postJson(method: string, request: object) {
  const response = await fetch(`${cluster.endpoints.routers[0]?.connect}/urna.v1.${method}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const json = await response.json();
  return { reason: json.details?.[0]?.debug?.reason, message: String(json.message ?? "") };
}

const beyondAll = 2n ** 64n - 1n;

describe("a question that the ledger cannot answer is refused with an id and a sentence (I9)", () => {
  const sizes = [
    { what: "a tree that is larger than the log", leafIndex: 0n, treeSize: 1_000_000n, reason: "NOT_FOUND" },
    { what: "the largest tree of all numbers", leafIndex: 0n, treeSize: beyondAll, reason: "NOT_FOUND" },
    { what: "a leaf beyond its tree", leafIndex: 1n, treeSize: 1n, reason: "INVALID_REQUEST" },
    { what: "the largest leaf of all numbers", leafIndex: beyondAll, treeSize: 1n, reason: "INVALID_REQUEST" },
    { what: "an empty tree", leafIndex: 0n, treeSize: 0n, reason: "INVALID_REQUEST" },
  ];
  for (const { what, leafIndex, treeSize, reason } of sizes) {
    test(`the inclusion of ${what}: ${reason}`, { timeout: testLimitMs }, async () => {
      const asking = ledger.getInclusionProof({ shardId: 0, leafIndex, treeSize }, { deadlineMs: callLimitMs });
      await expect(asking).rejects.toMatchObject({ reason, message: expect.stringMatching(/leaves|log|tree/) });
      const json = { shardId: 0, leafIndex: String(leafIndex), treeSize: String(treeSize) };
      expect(await postJson("LedgerService/GetInclusionProof", json)).toMatchObject({ reason });
    });
  }

  const pairs = [
    { what: "a log that is shorter", oldSize: 1n, newSize: 1_000_000n, reason: "NOT_FOUND" },
    { what: "the largest of all numbers", oldSize: beyondAll, newSize: beyondAll, reason: "NOT_FOUND" },
    { what: "a larger tree with a smaller one", oldSize: 2n, newSize: 1n, reason: "INVALID_REQUEST" },
    { what: "the empty tree", oldSize: 0n, newSize: 1n, reason: "INVALID_REQUEST" },
  ];
  for (const { what, oldSize, newSize, reason } of pairs) {
    test(`the consistency of ${what}: ${reason}`, { timeout: testLimitMs }, async () => {
      const asking = ledger.getConsistencyProof({ shardId: 0, oldSize, newSize }, { deadlineMs: callLimitMs });
      await expect(asking).rejects.toMatchObject({ reason });
      const json = { shardId: 0, oldSize: String(oldSize), newSize: String(newSize) };
      expect(await postJson("LedgerService/GetConsistencyProof", json)).toMatchObject({ reason });
    });
  }

  for (const shardId of [2, 2 ** 32 - 1]) {
    test(`of shard ${shardId}, which is not there: NOT_FOUND`, { timeout: testLimitMs }, async () => {
      const message = expect.stringContaining("GetVerifierKeys lists");
      await expect(ledger.getCheckpoint({ shardId })).rejects.toMatchObject({ reason: "NOT_FOUND", message });
      const proof = { shardId, leafIndex: 0n, treeSize: 1n };
      await expect(ledger.getInclusionProof(proof)).rejects.toMatchObject({ reason: "NOT_FOUND", message });
      expect(await postJson("LedgerService/GetCheckpoint", { shardId })).toMatchObject({
        reason: "NOT_FOUND",
        message,
      });
    });
  }

  for (const shardId of [-1, 2 ** 32, "north"]) {
    test(`of shard ${shardId}, which is no number: INVALID_REQUEST`, { timeout: testLimitMs }, async () => {
      const answer = await postJson("LedgerService/GetCheckpoint", { shardId });
      expect(answer).toMatchObject({ reason: "INVALID_REQUEST" });
    });
  }
});

test("a shard that has lost nothing accepts no loss", { timeout: testLimitMs }, async () => {
  const run = await urna("shard", "accept-loss", "0", "--yes");
  expect(run.code).toBe(exitCode.refused);
  expect(run.stderr).toContain("INVALID_REQUEST: shard 0: this node knows of no loss to accept");
  const wrong = join(folder, "wrong-token");
  writeFileSync(wrong, "not the token\n");
  const denied = await urna("shard", "accept-loss", "0", "--yes", "--admin-token-file", wrong);
  expect(denied.stderr).toContain("PERMISSION_DENIED");
});

test("an election has no result before its close", { timeout: testLimitMs }, async () => {
  const open = await urna("election", "result", "town", "--out", resultFile);
  expect(open.code).toBe(exitCode.refused);
  expect(open.stderr).toContain('RESULTS_SEALED: "town" is not closed on shard 0, 1');
  const unknown = await urna("election", "result", "nowhere", "--out", resultFile);
  expect(unknown.stderr).toContain("UNKNOWN_ELECTION");
});

test("the result that the shards signed at the close verifies offline, and counts the vote of the receipt (I7, I10)", {
  timeout: testLimitMs,
}, async () => {
  expect((await urna("election", "close", "town")).code).toBe(exitCode.done);
  const written = await urna("election", "result", "town", "--out", resultFile);
  expect(written.stdout).toBe(`town: 20 ballots, signed by 2 shards; in ${resultFile}`);
  const checked = await runCaptured(["verify", resultFile, ...trustAll(), "--json"], tmpdir());
  expect(JSON.parse(checked.stdout)).toMatchObject({
    verified: true,
    kind: "result",
    totals: {
      ballots: 20,
      contests: [
        {
          contest_id: "mayor",
          options: [
            { option_id: "ann", votes: 20 },
            { option_id: "bob", votes: 0 },
          ],
          undervotes: 0,
        },
        { contest_id: "council", undervotes: 40 },
      ],
    },
  });
  const counted = await runCaptured(["verify", saved, ...trustAll(), "--result", resultFile, "--json"], tmpdir());
  expect(counted.code).toBe(exitCode.done);
  expect(JSON.parse(counted.stdout).closed_at_size).toBeGreaterThan(proofIn(saved).index);
  const forged = join(folder, "forged.json");
  writeFileSync(forged, readFileSync(resultFile, "utf8").replace('"votes": 20', '"votes": 19'));
  expect((await urna("verify", forged, ...trustAll())).code).toBe(exitCode.refused);
});

test("after the close, and after every shard node has been killed, the receipt is proved as before (I3, I8)", {
  timeout: testLimitMs,
}, async () => {
  for (const node of ["shard-0-a", "shard-0-b", "shard-1-a", "shard-1-b"]) await cluster.kill(node);
  await cluster.waitUntilServing();
  const run = await urna(
    "receipt",
    "--election",
    "town",
    "--voter",
    "v-1",
    "--key",
    key,
    "--out",
    again,
    ...trustOf(saved),
  );
  expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
  expect(proofIn(again)).toMatchObject({ entry: proofIn(saved).entry, index: proofIn(saved).index });
});

function trustOf(file: string): string[] {
  return ["--verifier-key", proofIn(file).verifierKey];
}
