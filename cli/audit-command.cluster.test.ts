/** `urna audit` and `urna audit open` as people and scripts meet them, on a cluster. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { CapturedRun } from "./captured-run.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const startLimitMs = 120_000;
const limitMs = 30_000;

/** The run's own folder is `.urna` below it, where the command looks for endpoints.json. */
const folder = mkdtempSync(join(tmpdir(), "urna-audit-cli-"));
let story: Story;

beforeAll(async () => {
  story = await Story.start({ dir: join(folder, ".urna"), shards: 2, routers: 1, spares: 0 });
}, startLimitMs);

afterAll(async () => {
  await story?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, startLimitMs);

function urna(...args: string[]): Promise<CapturedRun> {
  return runCaptured(args, folder);
}

/** A vote of the election on shard 0. */
async function someLeaf(): Promise<{ leaf: number; region: number; ballot: Buffer }> {
  const [row] = await story.sql<{ leaf: number; region: number; ballot: Buffer }>(
    0,
    `SELECT leaf_index::int AS leaf, region, ballot FROM urna.votes WHERE ballot <> '' ORDER BY leaf_index LIMIT 1`,
  );
  if (row === undefined) throw new Error("shard 0 has no votes");
  return row;
}

// The tests below are one story, told in order.

test("a log without votes is clean, and its key is trusted from then on", async () => {
  const run = await urna("audit");
  expect(run.stdout).toMatch(/CLEAN$/);
  expect(run.code).toBe(exitCode.done);
  expect(run.stderr).toContain("shard 0 is trusted with the key that it has now");
  expect((await urna("audit")).stderr).toBe("");
});

test("votes are clean in words and in JSON, for all elections or for those named", async () => {
  await story.election("town");
  await story.election("hall");
  await story.cast("town", 300);
  await story.cast("hall", 50);
  const text = await waitFor("all leaves to be signed", limitMs, async () => {
    const run = await urna("audit", "--all");
    return run.stdout.match(/ leaves, all of them under a signed root$/gm)?.length === 2 ? run : undefined;
  });
  expect(text.code).toBe(exitCode.done);
  expect(text.stdout).toContain("350 rows read on 2 standbys");
  expect(text.stdout).toMatch(/^shard 1: clean through batch \d+: \d+ leaves, all of them under a signed root$/m);
  expect(text.stdout).toContain("tallies and results compared: hall, town");
  const json = await urna("audit", "town", "--json");
  expect(json.code).toBe(exitCode.done);
  expect(JSON.parse(json.stdout)).toMatchObject({
    schema_version: 1,
    clean: true,
    rows: 350,
    elections: ["town"],
    findings: [],
    gaps: [],
    verified_through: [{ shard_id: 0 }, { shard_id: 1 }],
  });
});

const wrong: readonly { what: string; args: readonly string[]; code: number; says: string }[] = [
  { what: "an election that nobody knows", args: ["nowhere"], code: exitCode.usage, says: '"nowhere"' },
  { what: "elections and --all", args: ["town", "--all"], code: exitCode.usage, says: "not both" },
  { what: "a malformed verifier key", args: ["--verifier-key", "x"], code: exitCode.usage, says: "verifier key" },
  {
    what: "a key of something that is no shard",
    args: ["--verifier-key", "example.com+eef0b75b+AU/wHNfpSlRrPB5mZ2HbuUvIGi0vXNYPJqFLrOBhRLtO"],
    code: exitCode.usage,
    says: "verifier key",
  },
  { what: "a malformed database", args: ["--database", "0:localhost"], code: exitCode.usage, says: "SHARD=URL" },
  {
    what: "a standby that nobody answers for",
    args: ["--database", "0=postgres://urna_operator@127.0.0.1:1/urna"],
    code: exitCode.unreachable,
    says: "does not answer",
  },
  {
    what: "a router that does not answer",
    args: ["--server", "127.0.0.1:1"],
    code: exitCode.unreachable,
    says: "answers",
  },
  { what: "a state file that is none", args: ["--state", "damaged.json"], code: exitCode.usage, says: "no state file" },
];

describe("is refused, with a sentence:", () => {
  beforeAll(() => writeFileSync(join(folder, "damaged.json"), "{}"));

  test.each(wrong)("$what", async ({ args, code, says }) => {
    const run = await urna("audit", ...args);
    expect(run.stderr).toContain(says);
    expect(run.code).toBe(code);
    expect(run.stdout).toBe("");
  });

  test("the primary, which is never read", async () => {
    const run = await urna("audit", "--database", `0=${story.cluster.ownerUrl(0)}`);
    expect(run.code).toBe(exitCode.unreachable);
    expect(run.stderr).toContain("no standby");
    // The URL has a password.
    expect(run.stderr).not.toContain("urna_owner");
  });

  test("the standby of another shard", async () => {
    const run = await urna("audit", "--database", `0=${story.cluster.ownerUrl(1, "standby")}`);
    expect(run.code).toBe(exitCode.unreachable);
    expect(run.stderr).toContain("shard 1");
  });
});

test("open shows what one leaf hides, and that the signed log has it", async () => {
  const { leaf, region, ballot } = await someLeaf();
  const args = ["audit", "open", "--election", "town", "--shard", "0", "--leaf", String(leaf)];
  const run = await urna(...args);
  expect(run.code).toBe(exitCode.done);
  expect(run.stdout).toContain(`ballot      ${ballot.toString("hex")}`);
  expect(run.stdout).toMatch(/^selections {2}mayor: (ada|bob|cid)$/m);
  expect(run.stdout).toMatch(/^proved {6}this leaf is in the signed checkpoint of urna\/shard\/0 with \d+ leaves$/m);
  expect(JSON.parse((await urna(...args, "--json")).stdout)).toMatchObject({
    shard_id: 0,
    leaf,
    region,
    ballot: ballot.toString("hex"),
  });
});

test("open finds a voter by name with the routers' key alone", async () => {
  const voter = story.ledger.entries.find(({ vote }) => vote.electionId === "town" && vote.selections.length > 0)?.vote;
  const run = await urna("audit", "open", "--election", "town", "--voter", voter?.voterId ?? "");
  expect(run.code).toBe(exitCode.done);
  expect(run.stdout).toContain(`selections  mayor: ${voter?.selections[0]?.optionIds[0]}`);
  expect(run.stdout).toContain(`region      ${voter?.regionId}`);
  writeFileSync(join(folder, "other-key"), Buffer.alloc(32));
  const other = join(folder, "other-key");
  const refused = await urna("audit", "open", "--election", "town", "--voter", "v", "--router-key-file", other);
  expect(refused.code).toBe(exitCode.usage);
  expect(refused.stderr).toContain("cannot be unwrapped");
});

const unopened: readonly { what: string; args: readonly string[]; code: number; says: string }[] = [
  { what: "neither leaf nor voter", args: [], code: exitCode.usage, says: "--voter" },
  { what: "a leaf without a shard", args: ["--leaf", "1"], code: exitCode.usage, says: "--shard" },
  {
    what: "a shard that is not there",
    args: ["--shard", "9", "--leaf", "1"],
    code: exitCode.usage,
    says: "no shard 9",
  },
  {
    what: "a leaf that is not there",
    args: ["--shard", "0", "--leaf", "99999"],
    code: exitCode.refused,
    says: "no vote",
  },
  { what: "a voter who has not voted", args: ["--voter", "nobody"], code: exitCode.refused, says: "no shard has" },
];

test.each(unopened)("open refuses $what, with a sentence", async ({ args, code, says }) => {
  const run = await urna("audit", "open", "--election", "town", ...args);
  expect(run.stderr).toContain(says);
  expect(run.code).toBe(code);
});

test("a changed row makes the audit exit with 1, naming shard and leaf, and cannot be opened as what was signed", async () => {
  const { leaf } = await someLeaf();
  const flip = `UPDATE urna.votes SET nonce = (overlay(nonce::text placing translate(substr(nonce::text, 1, 1),
    '0123456789abcdef', '123456789abcdef0') from 1 for 1))::uuid WHERE leaf_index = ${leaf}`;
  await story.sql(0, flip);
  const opened = await waitFor("the standby to show it", limitMs, async () => {
    const run = await urna("audit", "open", "--election", "town", "--shard", "0", "--leaf", String(leaf));
    return run.code === exitCode.refused ? run : undefined;
  });
  expect(opened.stderr).toContain("NOT VERIFIED");
  const run = await urna("audit");
  expect(run.code).toBe(exitCode.refused);
  expect(run.stdout).toContain(`  shard 0, leaf ${leaf}: `);
  expect(run.stdout).toMatch(/NOT CLEAN: 1 finding$/);
  const json = JSON.parse((await urna("audit", "--json")).stdout);
  expect(json).toMatchObject({ clean: false, verified_through: [{ shard_id: 1 }], finding_count: 1 });
  expect(json.findings).toMatchObject([{ kind: "ROW_CHANGED", shard_id: 0, leaf }]);
  for (let turn = 1; turn < 16; turn++) await story.sql(0, flip);
  await waitFor("the audit to be clean again", limitMs, async () =>
    (await urna("audit")).code === exitCode.done ? true : undefined,
  );
});

test("--follow tells each pass in a line of JSON until it is stopped, and then ends with 0", async () => {
  const stop = new AbortController();
  const lines: string[] = [];
  const onLine = (line: string) => {
    if (lines.push(line) === 2) stop.abort();
  };
  const run = await runCaptured(["audit", "--follow", "--json"], folder, { signal: stop.signal, onLine });
  expect(run.code).toBe(exitCode.done);
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ event: "pass", clean: true });
});

test("a shard that does not serve leaves the audit incomplete: exit 3, and what is missing is said", async () => {
  await story.cluster.stopProcess("shard-0-a");
  const run = await urna("audit");
  expect(run.code).toBe(exitCode.unreachable);
  expect(run.stdout).toMatch(/^NOT COMPLETE: the checkpoint of shard 0 could not be had: SHARD_UNAVAILABLE/m);
  expect(run.stdout).toContain("the audit is not complete");
  await story.cluster.startProcess("shard-0-a");
  await story.healed();
});
