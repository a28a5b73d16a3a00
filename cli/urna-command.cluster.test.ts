import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { CapturedRun } from "./captured-run.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const startLimitMs = 120_000;
const testLimitMs = 60_000;
const definition = join(import.meta.dirname, "../docs/town.json");
const key = "00112233445566778899aabbccddeeff";

/** The run's own folder is `.urna` below it, where the command looks for endpoints.json. */
const folder = mkdtempSync(join(tmpdir(), "urna-cli-"));
let cluster: EmbeddedCluster;

beforeAll(async () => {
  cluster = await EmbeddedCluster.start({ dir: join(folder, ".urna"), shards: 2, portBase: 0 });
}, startLimitMs);

afterAll(async () => {
  await cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
}, startLimitMs);

function urna(...args: string[]): Promise<CapturedRun> {
  return runCaptured(args, folder);
}

const vote = (voter: string, select: string) =>
  ["vote", "--election", "town", "--voter", voter, "--region", "north/ward-1", "--select", select] as const;

/** Follows the tally until it shows so many ballots. */
async function untilBallots(ballots: number): Promise<void> {
  const stop = new AbortController();
  const onLine = (line: string) => {
    if (JSON.parse(line).region.ballots === String(ballots)) stop.abort();
  };
  await runCaptured(["tally", "town", "--watch", "--json"], folder, { signal: stop.signal, onLine });
}

// The tests below are one story, told in order.

test("status names every router, the tally and every shard node", { timeout: testLimitMs }, async () => {
  // A cluster serves before its spares have come up.
  const run = await waitFor("all nodes in the status", 30_000, async () => {
    const status = await urna("status");
    return status.stdout.includes("unreachable") ? undefined : status;
  });
  expect(run.code).toBe(exitCode.done);
  expect(run.stdout.match(/^router .* serving$/gm)).toHaveLength(2);
  expect(run.stdout).toMatch(/^tally .* serving$/m);
  for (const node of ["shard-0-a", "shard-0-b", "shard-1-a", "shard-1-b"]) expect(run.stdout).toContain(node);
  expect(run.stdout.match(/ writer .* sync$/gm)).toHaveLength(2);
  const json = JSON.parse((await urna("status", "--json")).stdout);
  expect(json.nodes).toHaveLength(4);
  const router = cluster.endpoints.routers[1]?.grpc ?? "";
  expect(JSON.parse((await urna("status", "--json", "--server", router)).stdout).nodes).toHaveLength(4);
});

test("the shard map is what the shards have; a run without Consul keeps no history", {
  timeout: testLimitMs,
}, async () => {
  const shown = await urna("map", "show");
  expect(shown.stdout).toMatch(/^epoch 1 of urna, from .*directory\.json$/m);
  expect(shown.stdout).toMatch(/^ *0 {2}0-8191 +127\.0\.0\.1:\d+ +writer$/m);
  const check = await urna("map", "check");
  expect(check.stdout).toContain("is what 2 shards have, and 2 routers follow");
  expect(check.code).toBe(exitCode.done);
  const history = await urna("map", "history");
  expect(history).toMatchObject({ code: exitCode.done, stdout: expect.stringContaining("there is no history") });
});

test("an election is created once; the same definition again is no error, another one is refused", {
  timeout: testLimitMs,
}, async () => {
  for (const _ of ["first", "again"]) {
    const run = await urna("election", "create", definition);
    expect(run).toMatchObject({ code: exitCode.done, stdout: "town: created on 2 of 2 shards", stderr: "" });
  }
  const other = join(folder, "other.json");
  writeFileSync(other, readFileSync(definition, "utf8").replace("Town meeting", "Another meeting"));
  const refused = await urna("election", "create", other);
  expect(refused.code).toBe(exitCode.refused);
  expect(refused.stderr).toContain("urna: ELECTION_EXISTS:");
  const invalid = join(folder, "invalid.json");
  writeFileSync(invalid, readFileSync(definition, "utf8").replace('"town"', '"Town"'));
  expect((await urna("election", "create", invalid)).stderr).toContain('INVALID_ELECTION: election_id "Town"');
});

test("an election from a CSV is created too", { timeout: testLimitMs }, async () => {
  const csv = join(folder, "Small Town.csv");
  writeFileSync(csv, "county,precinct,party,candidate,votes\nNorth,Ward 1,A,Ann,3\nNorth,Ward 1,B,Bob,2\n");
  const run = await urna("election", "create", csv, "--json");
  expect(JSON.parse(run.stdout)).toMatchObject({ definition: { electionId: "small-town" } });
  const list = await urna("election", "list");
  expect(list.stdout).toMatch(/^town +created .* Town meeting$/m);
  expect(list.stdout).toMatch(/^small-town +created /m);
});

test("changes need the admin token", { timeout: testLimitMs }, async () => {
  const wrong = join(folder, "wrong-token");
  writeFileSync(wrong, "not the token\n");
  for (const change of ["open", "close"]) {
    const run = await urna("election", change, "town", "--admin-token-file", wrong);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("urna: PERMISSION_DENIED:");
  }
  const server = cluster.endpoints.routers[0]?.grpc ?? "";
  const config = { adminToken: cluster.adminToken() };
  const elsewhere = await runCaptured(["election", "open", "nowhere", "--server", server], tmpdir(), { config });
  expect(elsewhere.stderr).toContain("urna: UNKNOWN_ELECTION:");
});

test("no vote is taken before the election is open", { timeout: testLimitMs }, async () => {
  const run = await urna(...vote("v-1", "mayor=ann"));
  expect(run.code).toBe(exitCode.refused);
  expect(run.stderr).toContain("urna: ELECTION_NOT_OPEN:");
  const open = await urna("election", "open", "town");
  expect(open).toMatchObject({ code: exitCode.done, stdout: "town: open on 2 of 2 shards" });
  expect((await urna("election", "show", "town")).stdout).toMatch(/contest council \(select up to 2\) {2}Council/);
});

test("a vote is recorded, and the same again gets its original receipt (I3)", { timeout: testLimitMs }, async () => {
  const first = await urna(...vote("v-1", "mayor=ann"), "--select", "council=cleo,eve", "--key", key);
  expect(first.code).toBe(exitCode.done);
  const receipt = /^receipt {3}(\S+)$/m.exec(first.stdout)?.[1] ?? "no receipt";
  const again = await urna(...vote("v-1", "mayor=ann"), "--select", "council=eve,cleo", "--key", key);
  expect(again.stdout).toMatch(/^recorded before/);
  expect(again.stdout).toContain(receipt);
  const asked = await urna("receipt", "--election", "town", "--voter", "v-1", "--key", key);
  expect(asked.stdout).toContain(receipt);
  const other = await urna(...vote("v-1", "mayor=bob"));
  expect(other.code).toBe(exitCode.refused);
  expect(other.stderr).toContain("urna: ALREADY_VOTED:");
  const strange = await urna("receipt", "--election", "town", "--voter", "v-1", "--key", "ff".repeat(16));
  expect(strange.code).toBe(exitCode.refused);
});

test("a vote that does not fit the election is refused by name", { timeout: testLimitMs }, async () => {
  const misfits = [
    [...vote("v-2", "mayor=zoe")],
    [...vote("v-2", "mayor=ann,bob")],
    ["vote", "--election", "town", "--voter", "v-2", "--region", "north"],
    ["vote", "--election", "town", "--ballot", "v-2", "--region", "north/ward-1"],
  ];
  for (const args of misfits) {
    const run = await urna(...args);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("urna: INVALID_BALLOT:");
  }
});

test("the tally shows what was voted, by region too, and a watch sees it come", { timeout: testLimitMs }, async () => {
  const second = await urna("vote", "--election", "town", "--voter", "v-3", "--region", "south/ward-3", "--json");
  expect(JSON.parse(second.stdout)).toMatchObject({ repeat: false, receipt: { electionId: "town" } });
  await untilBallots(2);
  const all = await urna("tally", "town");
  expect(all.stdout).toMatch(/^Town meeting {2}\(open\)\n2 ballots counted, 0\.1 % of 3,600 eligible voters\n/);
  expect(all.stdout).toMatch(/^Ann Archer +1 +100\.0 % +#+$/m);
  const north = JSON.parse((await urna("tally", "town", "--region", "north", "--json")).stdout);
  expect(north.region).toMatchObject({ ballots: "1", eligibleVoters: "2100" });
  const nowhere = await urna("tally", "town", "--region", "nowhere", "--watch");
  expect(nowhere.code).toBe(exitCode.refused);
  expect(nowhere.stderr).toContain("urna: NOT_FOUND:");
});

test("a recount agrees; one row changed behind our back makes it differ, with exit code 1 (I5, I7)", {
  timeout: testLimitMs,
}, async () => {
  const agreed = await urna("recount", "town");
  expect(agreed.code).toBe(exitCode.done);
  expect(agreed.stdout).toMatch(/^2 votes counted again, .*\nthe tally agrees/);
  await changeOneRow();
  const differing = await urna("recount", "town");
  expect(differing.code).toBe(exitCode.refused);
  expect(differing.stdout).toMatch(/^THE TALLY DIFFERS in 2 counts$/m);
  expect(JSON.parse((await urna("recount", "town", "--json")).stdout)).toMatchObject({ matches: false });
});

test("after the close no vote is taken, a repeat is (I3), and a watch ends by itself: the counts are final (I10)", {
  timeout: testLimitMs,
}, async () => {
  const closed = await urna("election", "close", "town");
  expect(closed).toMatchObject({ code: exitCode.done, stdout: "town: closed on 2 of 2 shards" });
  const late = await urna(...vote("v-9", "mayor=ann"));
  expect(late.code).toBe(exitCode.refused);
  expect(late.stderr).toContain("urna: ELECTION_CLOSED:");
  const repeat = await urna(...vote("v-1", "mayor=ann"), "--select", "council=cleo,eve", "--key", key);
  expect(repeat.stdout).toMatch(/^recorded before/);
  const watched = await urna("tally", "town", "--watch");
  expect(watched.code).toBe(exitCode.done);
  expect(watched.stdout.split("\n").at(-1)).toMatch(/final {2}2 ballots/);
});

/** Turns the undervote for mayor into a vote for Ann, where it is stored. */
async function changeOneRow(): Promise<void> {
  for (const shardId of [0, 1]) {
    const client = new pg.Client({ connectionString: cluster.ownerUrl(shardId) });
    await client.connect();
    try {
      await client.query("SET session_replication_role = replica");
      await client.query("UPDATE urna.votes SET ballot = '\\x0001'::bytea WHERE length(ballot) = 0");
    } finally {
      await client.end();
    }
  }
}
