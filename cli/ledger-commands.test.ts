/** `urna keys`, `urna election result` and `urna shard accept-loss`, against a router that may lie. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";
import type { ShardNote } from "./result-document.ts";
import { electionId, ScriptedLedger } from "./scripted-ledger.ts";
import { ScriptedResult } from "./scripted-result.ts";

const folder = mkdtempSync(join(tmpdir(), "urna-ledger-"));
const out = join(folder, "result.json");
const config = { adminToken: "token" };
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => rmSync(out, { force: true }));

/** Answers what the test says and refuses all else. */
async function serve(calls: Partial<ServiceImplementation<typeof LedgerService>>): Promise<string> {
  const refuse = async () => {
    throw new RejectionError("NOT_FOUND");
  };
  const service = {
    getCheckpoint: refuse,
    getInclusionProof: refuse,
    getConsistencyProof: refuse,
    getVerifierKeys: refuse,
    getElectionResult: refuse,
    acceptLoss: refuse,
  };
  const server = new GrpcServer([bind(LedgerService, { ...service, ...calls })]);
  const { port } = await server.listen("127.0.0.1:0");
  onTestFinished(() => server.close(0));
  return `127.0.0.1:${port}`;
}

const ledger = new ScriptedLedger();
const result = new ScriptedResult(ledger);

function shardKeys(keys: readonly string[] = result.verifierKeys) {
  return async () => ({ keys: keys.map((verifierKey, shardId) => ({ shardId, verifierKey })) });
}

function shardResults(notes: readonly ShardNote[] = result.notes()) {
  return async () => ({
    results: notes.map(({ shardId, signedNote }) => ({ shardId, signedNote: Buffer.from(signedNote) })),
  });
}

describe("the keys", () => {
  test("are a JSON list of shard ids and verifier keys, by shard", async () => {
    const server = await serve({ getVerifierKeys: async () => ({ keys: (await shardKeys()()).keys.toReversed() }) });
    const run = await runCaptured(["keys", "--json", "--server", server], folder);
    expect(run.code).toBe(exitCode.done);
    const [first, second] = result.verifierKeys;
    const expected = [
      { shard_id: 0, verifier_key: first },
      { shard_id: 1, verifier_key: second },
    ];
    expect(run.stdout).toBe(JSON.stringify(expected));
    const table = await runCaptured(["keys", "--server", server], folder);
    expect(table.stdout.split("\n")[1]).toBe(`    0  ${first}`);
  });

  test("are refused by the name of the shard that cannot be reached", async () => {
    const away = async () => {
      throw new RejectionError("SHARD_UNAVAILABLE", "shard 1 has no writer that is ready");
    };
    const run = await runCaptured(["keys", "--server", await serve({ getVerifierKeys: away })], folder);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("SHARD_UNAVAILABLE: shard 1");
  });

  test("that are none are refused", async () => {
    const server = await serve({ getVerifierKeys: shardKeys(["none"]) });
    const run = await runCaptured(["keys", "--server", server], folder);
    expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
  });
});

describe("the result of an election", () => {
  const args = ["election", "result", electionId, "--out", out];

  test("is written as what every shard signed, and verifies offline", async () => {
    const server = await serve({ getVerifierKeys: shardKeys(), getElectionResult: shardResults() });
    const run = await runCaptured([...args, "--server", server], folder);
    expect(run).toMatchObject({ code: exitCode.done, stderr: "" });
    expect(run.stdout).toBe(`town: 12 ballots, signed by 2 shards; in ${out}`);
    expect(JSON.parse(readFileSync(out, "utf8"))).toMatchObject({
      schema_version: 1,
      election_id: electionId,
      totals: { ballots: 12 },
      shards: [{ shard_id: 0 }, { shard_id: 1, signed_note: result.notes()[1]?.signedNote }],
    });
    const keys = result.verifierKeys.flatMap((key) => ["--verifier-key", key]);
    expect((await runCaptured(["verify", out, ...keys], folder)).code).toBe(exitCode.done);
    const json = await runCaptured([...args, "--json", "--server", server], folder);
    expect(JSON.parse(json.stdout)).toMatchObject({ file: out, election_id: electionId, totals: { ballots: 12 } });
  });

  test("of an election that is not closed everywhere is refused, and nothing is written", async () => {
    const open = async () => {
      throw new RejectionError("RESULTS_SEALED", '"town" is not closed on shard 1');
    };
    const server = await serve({ getVerifierKeys: shardKeys(), getElectionResult: open });
    const run = await runCaptured([...args, "--server", server], folder);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("RESULTS_SEALED");
    expect(existsSync(out)).toBe(false);
  });

  const [first, second] = result.notes();
  if (first === undefined || second === undefined) throw new Error("two shards are expected");
  const foreign = new ScriptedResult(ledger, { all: { electionId: "city" } });
  const lies: readonly { what: string; notes: readonly ShardNote[]; keys?: readonly string[]; says: string }[] = [
    { what: "without a shard", notes: [first], says: "a shard is missing" },
    { what: "without shards", notes: [], says: "no shards" },
    {
      what: "with shards exchanged",
      notes: [
        { ...first, shardId: 1 },
        { ...second, shardId: 0 },
      ],
      says: "the log of shard",
    },
    {
      what: "with a count changed",
      notes: [{ ...first, signedNote: first.signedNote.replace("mayor ann 3", "mayor ann 9") }, second],
      says: "does not verify",
    },
    { what: "of another election", notes: foreign.notes(), keys: foreign.verifierKeys, says: 'the result of "city"' },
  ];
  for (const { what, notes, keys, says } of lies) {
    test(`${what} is found out, and nothing is written`, async () => {
      const server = await serve({ getVerifierKeys: shardKeys(keys), getElectionResult: shardResults(notes) });
      const run = await runCaptured([...args, "--server", server], folder);
      expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
      expect(run.stderr).toMatch(/^urna: NOT VERIFIED: [^\n]*$/);
      expect(run.stderr).toContain(says);
      expect(existsSync(out)).toBe(false);
    });
  }

  test("is checked with the keys that the user trusts: the router's are not asked for", async () => {
    const server = await serve({ getElectionResult: shardResults() });
    const keys = result.verifierKeys.flatMap((key) => ["--verifier-key", key]);
    expect((await runCaptured([...args, ...keys, "--server", server], folder)).code).toBe(exitCode.done);
  });
});

describe("accepting the loss of a shard", () => {
  const args = ["shard", "accept-loss", "3"];

  async function accepting() {
    const asked: unknown[] = [];
    const server = await serve({
      acceptLoss: async ({ shardId }, call) => {
        asked.push([shardId, call.header("authorization")]);
        return { logOrigin: `urna/shard/${shardId}/2` };
      },
    });
    return { asked, server };
  }

  test("with --yes asks nobody, and says how the log goes on", async () => {
    const { asked, server } = await accepting();
    const run = await runCaptured([...args, "--yes", "--server", server], folder, { config });
    expect(run.code).toBe(exitCode.done);
    expect(run.stdout).toMatch(/^shard 3 goes on as urna\/shard\/3\/2\n/);
    expect(asked).toEqual([[3, "Bearer token"]]);
    const json = await runCaptured([...args, "--yes", "--json", "--server", server], folder, { config });
    expect(JSON.parse(json.stdout)).toEqual({ shard_id: 3, log_origin: "urna/shard/3/2" });
  });

  test("without --yes says what it means, and waits for the number of the shard", async () => {
    const { asked, server } = await accepting();
    const run = await runCaptured([...args, "--server", server], folder, { config, answer: "3\n" });
    expect(run.code).toBe(exitCode.done);
    expect(run.stderr).toContain("votes that were acknowledged and are not there any more are not counted");
    expect(run.stderr).toContain("This cannot be undone.");
    expect(asked).toHaveLength(1);
  });

  for (const answer of ["", "yes", "2"]) {
    test(`answered with "${answer}" changes nothing`, async () => {
      const { asked, server } = await accepting();
      const run = await runCaptured([...args, "--server", server], folder, { config, answer });
      expect(run).toMatchObject({ code: exitCode.refused, stdout: "" });
      expect(run.stderr).toContain("nothing was changed");
      expect(asked).toEqual([]);
    });
  }

  test("where nothing was lost is refused", async () => {
    const nothing = async () => {
      throw new RejectionError("INVALID_REQUEST", "this node knows of no loss to accept");
    };
    const server = await serve({ acceptLoss: nothing });
    const run = await runCaptured([...args, "--yes", "--server", server], folder, { config });
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("INVALID_REQUEST: this node knows of no loss to accept");
  });
});
