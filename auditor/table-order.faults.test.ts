/** An audit finds the same whatever the order in which rows lie in their tables, and in whatever memory (I2, I8). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Audit, type AuditOptions } from "./audit.ts";
import { TamperStory, tampered } from "./tamper-story.ts";

let story: TamperStory;
let rows: number;

beforeAll(async () => {
  story = await TamperStory.start();
  rows = (await story.audit()).rows;
});

afterAll(() => story?.[Symbol.asyncDispose]());

/** Tiles that wait are handed out at once, and their rows looked up; voters are sought in files. */
const tight: Partial<AuditOptions> = { tilesHeldMax: 1, voterMemoryBytesMax: 1_000 };

async function votesTables(): Promise<string[]> {
  const found = await story.sql<{ name: string }>("SELECT 'urna.votes_' || number AS name FROM urna.elections");
  return found.map(({ name }) => name);
}

describe("rows in the order of their voters, which is none of the log,", () => {
  beforeAll(async () => {
    for (const table of await votesTables()) await story.sql(`CLUSTER ${table} USING ${table.slice(5)}_pkey`);
  });

  beforeEach(() => story.keep());

  test.each([
    ["much", {}],
    ["little", tight],
  ])("are read once each, and are clean, in %s memory", async (_memory, change) => {
    const report = await story.audit(change);
    expect(report.findings).toEqual([]);
    expect(report.rows).toBe(rows);
    await story.undo();
  });

  test.each([
    ["deleted", "DELETE FROM urna.votes WHERE leaf_index = 300", "ROW_MISSING"],
    ["changed", "UPDATE urna.votes SET nonce = gen_random_uuid() WHERE leaf_index = 300", "ROW_CHANGED"],
    [
      "doubled",
      `INSERT INTO urna.votes (nullifier, key_hash, leaf_index, batch_number, election_number, region, ballot, nonce)
       SELECT gen_random_uuid(), key_hash, leaf_index, batch_number, election_number, region, ballot, nonce
       FROM urna.votes WHERE leaf_index = 300`,
      "ROW_DOUBLED",
    ],
    [
      "given to another voter",
      "UPDATE urna.votes SET nullifier = gen_random_uuid() WHERE leaf_index = 300",
      "ROW_CHANGED",
    ],
  ])("and one of them %s is found in little memory", async (_what, sql, kind) => {
    await story.sql(sql);
    expect(await story.found(tight)).toContain(`${kind} shard ${tampered} leaf 300`);
    await story.undo();
    expect(await story.found(tight)).toEqual([]);
  });
});

test("new rows are read alone, also where they lie in the place of older ones", async () => {
  const audit = new Audit(story.options());
  expect((await audit.readAll()).findings).toEqual([]);
  const [table = ""] = await votesTables();
  // Each update leaves room where the row lay, for whatever comes next.
  await story.sql(`UPDATE ${table} SET region = region WHERE leaf_index < 250`);
  await story.sql(`VACUUM ${table}`);
  const [before] = await story.sql<{ pages: number }>(`SELECT pg_relation_size('${table}')::int AS pages`);
  await story.story.cast("town", 200);
  await story.replayed();
  expect(await story.sql(`SELECT pg_relation_size('${table}')::int AS pages`)).toEqual([before]);
  await story.untilSigned();
  const report = await audit.readNew();
  expect(report.findings).toEqual([]);
  expect(report.rows).toBe(200);
  const [head] = await story.sql<{ leaves: number }>("SELECT tree_size::int AS leaves FROM urna.head");
  expect(report.shards.find(({ shardId }) => shardId === tampered)).toMatchObject({
    leaves: head?.leaves,
    signedLeaves: head?.leaves,
  });
});

test("a new row that was changed is found by a look at new rows, and its shard is read whole from then on", async () => {
  const audit = new Audit(story.options());
  expect((await audit.readAll()).findings).toEqual([]);
  await story.story.cast("town", 100);
  await story.untilSigned();
  const leaf = (await story.signedLeaves()) - 1;
  await story.keep();
  await story.sql(`UPDATE urna.votes SET nonce = gen_random_uuid() WHERE leaf_index = ${leaf}`);
  const { findings } = await audit.readNew();
  expect(findings).toMatchObject([{ kind: "ROW_CHANGED", shardId: tampered, leaf }]);
  const next = await audit.readNew();
  expect(next.shards.map(({ shardId }) => shardId)).toEqual([0]);
  await story.undo();
  expect((await audit.readAll()).findings).toEqual([]);
});

test("a voter who has voted on two shards is found, in much memory and in little, where the log is coherent (I2)", async () => {
  const columns = "nullifier, key_hash, region, ballot, nonce";
  const [vote] = await story.story.sql<Record<string, unknown>>(
    0,
    `SELECT v.${columns.replaceAll(", ", ", v.")} FROM urna.votes v JOIN urna.elections e ON e.number = v.election_number
     WHERE e.election_id = 'town' LIMIT 1`,
  );
  await story.stopShard();
  await story.sql(
    `INSERT INTO urna.votes (${columns}, leaf_index, batch_number, election_number)
     SELECT $1, $2, $3, $4, $5, 1000000, max(batch_number), (SELECT number FROM urna.elections WHERE election_id = 'town')
     FROM urna.votes`,
    Object.values(vote ?? {}),
  );
  await story.rewrite();
  const [row] = await story.sql<{ leaf: number }>(
    "SELECT leaf_index::int AS leaf FROM urna.votes WHERE nullifier = $1",
    [vote?.["nullifier"]],
  );
  for (const change of [{}, tight]) {
    const found = await story.found(change);
    expect(found).toContain(`VOTED_TWICE shard ${tampered} town leaf ${row?.leaf}`);
    expect(found).toContain(`SLOT_NOT_OWNED shard ${tampered} leaf ${row?.leaf}`);
  }
  await story.sql("DELETE FROM urna.votes WHERE nullifier = $1", [vote?.["nullifier"]]);
  await story.rewrite();
  await story.startShard();
  expect(await story.found()).toEqual([]);
});
