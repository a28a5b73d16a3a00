/** A shard that has lost acknowledged votes refuses to serve until an operator says that it may go on, as another log (I8). */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { verifyProofFile } from "#proto/ledger/proof-file.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const startLimitMs = 120_000;
const testLimitMs = 60_000;
const definition = join(import.meta.dirname, "../docs/town.json");
const nodes = ["shard-0-a", "shard-0-b"];
const voters = [0, 1, 2, 3];
/** The last voter's leaf is cut off. */
const leavesLeft = voters.length - 1;

const folder = mkdtempSync(join(tmpdir(), "urna-loss-"));
let cluster: EmbeddedCluster;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ dir: join(folder, ".urna"), shards: 1, portBase: 0 });
}, startLimitMs);

afterAll(async () => {
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
}, startLimitMs);

const urna = (...args: string[]) => runCaptured(args, folder);
const keyOf = (voter: number) => `${voter}`.repeat(32);
const savedBy = (voter: number) => join(folder, `receipt-${voter}.txt`);
const voteOf = (voter: number) => ["--election", "town", "--voter", `v-${voter}`, "--key", keyOf(voter)];
const cast = (voter: number, ...args: string[]) =>
  urna("vote", ...voteOf(voter), "--region", "north/ward-1", "--select", "mayor=ann", ...args);

async function verifierKey(): Promise<string> {
  return JSON.parse((await urna("keys", "--json")).stdout)[0].verifier_key;
}

/** As a backup that is older than what was acknowledged. */
async function cutOff(leaves: number): Promise<void> {
  const client = new pg.Client({ connectionString: cluster.ownerUrl(0) });
  await client.connect();
  try {
    await client.query("DELETE FROM urna.votes WHERE leaf_index >= $1", [leaves]);
    await client.query(
      "DELETE FROM urna.batches WHERE number > (SELECT min(number) FROM urna.batches WHERE tree_size = $1)",
      [leaves],
    );
    const last = "(SELECT max(number) FROM urna.batches)";
    await client.query(`UPDATE urna.head SET tree_size = $1, batch_number = ${last}`, [leaves]);
  } finally {
    await client.end();
  }
}

test("accepting the loss brings the shard back as a new log; what was lost stays provable with the old key", {
  timeout: testLimitMs,
}, async () => {
  await urna("election", "create", definition);
  await urna("election", "open", "town");
  for (const voter of voters) expect((await cast(voter, "--save", savedBy(voter))).code).toBe(exitCode.done);
  const oldKey = await verifierKey();

  for (const node of nodes) await cluster.stopProcess(node);
  await cutOff(leavesLeft);
  for (const node of nodes) await cluster.startProcess(node);
  // One of the nodes: the other looks when it is its turn.
  await waitFor("the shard to say what is missing", 30_000, async () => {
    const status = await urna("status", "--json");
    return status.stdout.includes("1 acknowledged votes are missing") ? true : undefined;
  });

  const refused = await runCaptured(["shard", "accept-loss", "0"], folder, { answer: "no" });
  expect(refused.code).toBe(exitCode.refused);
  const accepted = await runCaptured(["shard", "accept-loss", "0"], folder, { answer: "0" });
  expect(accepted).toMatchObject({
    code: exitCode.done,
    stdout: expect.stringMatching(/^shard 0 goes on as urna\/shard\/0\/2\n/),
  });

  const newKey = await waitFor("the shard to serve", 30_000, () => verifierKey().catch(() => undefined));
  expect(newKey).toMatch(/^urna\/shard\/0\/2\+/);
  const again = join(folder, "receipt-again.txt");
  const left = await urna("receipt", ...voteOf(0), "--out", again);
  expect(left.code).toBe(exitCode.done);
  expect(verifyProofFile(readFileSync(again), newKey).entry).toEqual(
    verifyProofFile(readFileSync(savedBy(0)), oldKey).entry,
  );
  const withOldKey = await urna("receipt", ...voteOf(0), "--out", again, "--verifier-key", oldKey);
  expect(withOldKey.stderr).toContain("in the log urna/shard/0/2, but the verifier key is that of urna/shard/0");

  const lost = await urna("receipt", ...voteOf(leavesLeft));
  expect(lost.stderr).toContain("NOT_FOUND");
  const evidence = await urna("verify", savedBy(leavesLeft), "--verifier-key", oldKey, "--key", keyOf(leavesLeft));
  expect(evidence.code).toBe(exitCode.done);
  expect((await cast(leavesLeft)).stdout).toMatch(/^recorded\n/);
});
