/** The reports of docs/reports.md, as they stand there, run on a standby. */
import { readFile } from "node:fs/promises";
import pg from "pg";
import { beforeAll, expect, test } from "vitest";
import type { RigElection } from "#bench/rig-election.ts";
import { rigRegions } from "#bench/rig-election.ts";
import type { ShardRig } from "#bench/shard-rig.ts";
import type { SentVote } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { sharedRig } from "./shared-rig.ts";

const page = await readFile(new URL("../docs/reports.md", import.meta.url), "utf8");
const reports = new Map(
  [...page.matchAll(/<!-- report: ([\w-]+) -->\n```sql\n([^`]+)```/g)].map(([, name, sql]) => [name, sql ?? ""]),
);
const variables: Record<string, string> = { region: "north", from: "2000-01-01Z", to: "2100-01-01Z" };
const rigOf = sharedRig();

let election: RigElection;
let votes: readonly SentVote[];

beforeAll(async () => {
  const rig = rigOf();
  const other = await rig.open("not-reported");
  election = await rig.open("reported");
  votes = election.fresh(90);
  await rig.settle(votes);
  await rig.settle(other.fresh(5));
  const { batch } = await rig.head();
  await waitFor("the standby to show what it has", 20_000, async () => {
    const [row] = await rig.standbySql("SELECT batch_number::float8 AS batch FROM urna.head");
    return Number(row?.["batch"]) >= batch ? true : undefined;
  });
});

/** As psql would fill it in. */
function sqlOf(name: string): string {
  const sql = reports.get(name);
  if (sql === undefined) throw new Error(`docs/reports.md has no report "${name}"`);
  return sql.replaceAll(/:'(\w+)'/g, (_, variable: string) =>
    pg.escapeLiteral(variable === "election" ? election.id : (variables[variable] ?? "")),
  );
}

async function rowsOf(rig: ShardRig, name: string): Promise<string[]> {
  const rows = await rig.standbySql(sqlOf(name));
  return rows.map((row) => Object.values(row).join(" | "));
}

/** What the votes themselves say, one line for each place and choice, ballots and undervotes included. */
function counted(placeOf: (vote: SentVote) => string): string[] {
  const sums = new Map<string, number>();
  for (const vote of votes) {
    const option = vote.selections[0]?.optionIds[0];
    for (const line of [`${placeOf(vote)}contest | ${option}`, `${placeOf(vote)} | ballots`]) {
      sums.set(line, (sums.get(line) ?? 0) + 1);
    }
  }
  return [...sums].map(([line, n]) => `${line} | ${n}`).sort();
}

const county = (vote: SentVote) => vote.regionId.split("/")[0] ?? "";

test("the reports by region, county and below one region count each vote once (I5)", async () => {
  const rig = rigOf();
  expect((await rowsOf(rig, "regions")).sort()).toEqual(counted((vote) => `${vote.regionId} | `));
  expect((await rowsOf(rig, "counties")).sort()).toEqual(counted((vote) => `${county(vote)} | `));
  const below = await rig.standbySql(sqlOf("subtree"));
  const ballots = below.find((row) => row["counted"] === "ballots");
  expect(Number(ballots?.["n"])).toBe(votes.filter((vote) => county(vote) === "north").length);
});

test("the reports by hour of batch add up to all votes (I5)", async () => {
  const rig = rigOf();
  const total = async (name: string, column: string) =>
    (await rig.standbySql(sqlOf(name))).reduce((sum, row) => sum + Number(row[column]), 0);
  expect(await total("hours", "ballots")).toBe(votes.length);
  expect(await total("hours-by-county", "ballots")).toBe(votes.length);
  expect(await total("shard-hours", "votes")).toBe(votes.length + 5);
});

test("the audit trail names who defined and opened each election", async () => {
  const lines = (await rowsOf(rigOf(), "audit")).filter((line) => line.includes(" | reported | "));
  const actions = lines.map((line) => line.split(" | ").slice(2).join(" "));
  // The shard copies an election whenever it notices it: before its opening is asked for, or after.
  const expected = ["want-created reported rig", "define reported rig", "want-open reported rig", "open reported rig"];
  expect(actions.toSorted()).toEqual(expected.toSorted());
  expect([actions[0], actions[3]]).toEqual([expected[0], expected[3]]);
});

for (const name of ["regions", "counties", "subtree", "hours", "hours-by-county", "shard-hours", "audit"]) {
  test(`the report "${name}" reads neither votes nor head: no vote waits for it`, async () => {
    const plan = await rigOf().standbySql(`EXPLAIN (VERBOSE) ${sqlOf(name)}`);
    const text = plan.map((row) => row["QUERY PLAN"]).join("\n");
    expect(text).toContain("urna.batches");
    expect(text).not.toMatch(/urna\.(votes|head)/);
  });
}

test("every report of the page was tried, and regions are named by the definition's own order", async () => {
  expect([...reports.keys()].sort()).toEqual(
    ["regions", "counties", "subtree", "hours", "hours-by-county", "shard-hours", "audit"].sort(),
  );
  const named = await rigOf().standbySql(
    "SELECT DISTINCT region, region_id FROM urna.election_regions ORDER BY region",
  );
  expect(named.map((row) => row["region_id"])).toEqual(rigRegions);
});

test("the role for reports reads counts by name, and no vote", async () => {
  const rig = rigOf();
  const [, roleSql] = /```sql\n(CREATE ROLE[^`]+)```/.exec(page) ?? [];
  for (const statement of (roleSql ?? "").split(";").filter((part) => part.trim() !== "")) await rig.sql(statement);
  const [may] = await rig.sql(
    `SELECT has_table_privilege('urna_reports', 'urna.named_counts', 'SELECT') AS counts,
            has_table_privilege('urna_reports', 'urna.votes', 'SELECT') AS votes,
            has_table_privilege('urna_reports', 'urna.batches', 'INSERT') AS writes`,
  );
  expect(may).toEqual({ counts: true, votes: false, writes: false });
});
