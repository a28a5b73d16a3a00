/**
 * What an administrator with all rights to the primary can change while everything runs, and that an audit of the standby finds
 * it, naming shard and leaf, or batch (I5, I8). After each change it is undone, and the audit is clean: no check is vacuous.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { TamperStory, tampered } from "./tamper-story.ts";

let story: TamperStory;
let leaves: number;

beforeAll(async () => {
  story = await TamperStory.start();
  await story.untilSigned();
  leaves = await story.signedLeaves();
});

afterAll(() => story?.[Symbol.asyncDispose]());

beforeEach(() => story.keep());

/** In a full tile, and in none. */
const inTile = 300;
const inTail = () => leaves - 3;
const at = (what: string) => `shard ${tampered} ${what}`;

type Change = {
  readonly what: string;
  readonly sql: () => string | Promise<string>;
  /** To be done last when it is undone. */
  readonly after?: string;
  /** What the audit must find, among others that follow from it. */
  readonly finds: () => Promise<readonly string[]> | readonly string[];
};

const otherOption = "ballot = CASE ballot WHEN '\\x0001' THEN '\\x0002'::bytea ELSE '\\x0001'::bytea END";
const swapColumn = (column: string, a: number, b: number) => `
  UPDATE urna.votes v SET ${column} = o.${column} FROM urna.votes o
  WHERE (v.leaf_index = ${a} AND o.leaf_index = ${b}) OR (v.leaf_index = ${b} AND o.leaf_index = ${a})`;

const changes: readonly Change[] = [
  {
    what: "an option that was changed",
    sql: () => `UPDATE urna.votes SET ${otherOption} WHERE leaf_index = ${inTile}`,
    finds: async () => [
      `ROW_CHANGED ${at(`leaf ${inTile}`)}`,
      `COUNTS_CHANGED ${at(`town batch ${await story.batchOf(inTile)}`)}`,
      "TALLY_DIFFERS town",
    ],
  },
  {
    what: "an option of one of the newest votes that was changed",
    sql: () => `UPDATE urna.votes SET ${otherOption} WHERE leaf_index = ${inTail()}`,
    finds: () => [`ROW_CHANGED ${at(`leaf ${inTail()}`)}`],
  },
  {
    what: "a region that was changed",
    sql: () => `UPDATE urna.votes SET region = (region + 1) % 4 WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_CHANGED ${at(`leaf ${inTile}`)}`, "TALLY_DIFFERS town"],
  },
  {
    what: "a nonce that was changed",
    sql: () => `UPDATE urna.votes SET nonce = gen_random_uuid() WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_CHANGED ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "a key hash that was changed",
    sql: () => `UPDATE urna.votes SET key_hash = gen_random_uuid() WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_CHANGED ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "a row that was deleted",
    sql: () => `DELETE FROM urna.votes WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_MISSING ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "the rows of one option that were deleted from a batch",
    sql: () => "DELETE FROM urna.votes WHERE leaf_index BETWEEN 280 AND 282",
    finds: () => [`ROW_MISSING ${at("leaf 280-282")}`],
  },
  {
    what: "a row that was inserted with the leaf of another",
    sql: () => `INSERT INTO urna.votes (nullifier, key_hash, leaf_index, batch_number, election_number, region, ballot, nonce)
      SELECT gen_random_uuid(), key_hash, leaf_index, batch_number, election_number, region, ballot, nonce
      FROM urna.votes WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_DOUBLED ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "a row that was inserted behind the last leaf",
    sql: () => `INSERT INTO urna.votes (nullifier, key_hash, leaf_index, batch_number, election_number, region, ballot, nonce)
      SELECT gen_random_uuid(), key_hash, ${leaves}, batch_number, election_number, region, ballot, nonce
      FROM urna.votes WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_BEYOND_LOG ${at(`leaf ${leaves}`)}`],
  },
  {
    what: "a row that was inserted into a batch that is not there",
    sql: () => `INSERT INTO urna.votes (nullifier, key_hash, leaf_index, batch_number, election_number, region, ballot, nonce)
      SELECT gen_random_uuid(), key_hash, ${leaves}, 1000000, election_number, region, ballot, nonce
      FROM urna.votes WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_BEYOND_LOG ${at(`leaf ${leaves} batch 1000000`)}`],
  },
  {
    what: "two rows whose ballots were swapped",
    sql: async () => swapColumn("ballot", 301, await story.leafUnlike(301)),
    finds: async () => [`ROW_CHANGED ${at("leaf 301")}`, `ROW_CHANGED ${at(`leaf ${await story.leafUnlike(301)}`)}`],
  },
  {
    what: "two rows whose leaves were swapped",
    sql: () => swapColumn("leaf_index", 310, 311),
    finds: () => [`ROW_CHANGED ${at("leaf 310")}`, `ROW_CHANGED ${at("leaf 311")}`],
  },
  {
    what: "a row that was moved to another batch",
    sql: () => `UPDATE urna.votes SET batch_number = batch_number + 1 WHERE leaf_index = ${inTile}`,
    finds: async () => [`ROW_MISPLACED ${at(`leaf ${inTile} batch ${await story.batchOf(inTile)}`)}`],
  },
  {
    what: "a row whose voter is another shard's",
    sql: () => `UPDATE urna.votes SET nullifier = '00000000-0000-0000-0000-000000000001' WHERE leaf_index = ${inTile}`,
    finds: () => [`ROW_CHANGED ${at(`leaf ${inTile}`)}`, `SLOT_NOT_OWNED ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "a ballot that nobody could cast",
    sql: () => `UPDATE urna.votes SET ballot = '\\x00010002' WHERE leaf_index = ${inTile}`,
    finds: async () => [`BALLOT_INVALID ${at(`leaf ${inTile} batch ${await story.batchOf(inTile)}`)}`],
  },
  {
    what: "a nonce that was taken away",
    sql: () =>
      `ALTER TABLE urna.votes ALTER nonce DROP NOT NULL; UPDATE urna.votes SET nonce = NULL WHERE leaf_index = ${inTile}`,
    after: "ALTER TABLE urna.votes ALTER nonce SET NOT NULL",
    finds: () => [`ROW_UNREADABLE ${at(`leaf ${inTile}`)}`, `ROW_MISSING ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "a ballot longer than any that could be hashed",
    sql: () => `UPDATE urna.votes SET ballot = decode(repeat('0001', 20000), 'hex') WHERE leaf_index = ${inTile}`,
    finds: () => [`BALLOT_INVALID ${at(`leaf ${inTile}`)}`, `ROW_MISSING ${at(`leaf ${inTile}`)}`],
  },
  {
    what: "an election that was deleted, and left its votes behind",
    sql: () => "DELETE FROM urna.elections WHERE election_id = 'hall'",
    finds: () => [expect.stringMatching(new RegExp(`^ELECTION_UNKNOWN shard ${tampered} leaf \\d+$`))],
  },
  {
    what: "a head that says that it is of another deployment",
    sql: () => "UPDATE urna.head SET deployment = 'village'",
    after: "UPDATE urna.head SET deployment = 'urna'",
    finds: () => [`HEAD_CHANGED ${at("")}`.trimEnd()],
  },
  {
    what: "a table of votes that was taken out of the log",
    sql: () => "ALTER TABLE urna.votes DETACH PARTITION urna.votes_2",
    after: "ALTER TABLE urna.votes ATTACH PARTITION urna.votes_2 FOR VALUES IN (2)",
    finds: () => [expect.stringMatching(new RegExp(`^ROW_MISSING shard ${tampered} leaf `))],
  },
  {
    what: "a count that was changed",
    sql: () =>
      "UPDATE urna.batches SET count_n[1] = count_n[1] + 1 WHERE number = (SELECT min(number) FROM urna.batches WHERE votes > 0)",
    finds: async () => [`COUNTS_CHANGED ${at(`town batch ${await story.batchOf(0)}`)}`],
  },
  {
    what: "a root that was changed",
    sql: () =>
      `UPDATE urna.batches SET root = sha256(root) WHERE number = (SELECT min(number) FROM urna.batches WHERE tree_size > ${inTile})`,
    finds: async () => {
      const batch = await story.batchOf(inTile);
      return [expect.stringMatching(new RegExp(`^ROOT_CHANGED shard ${tampered} leaf \\d+-\\d+ batch ${batch}$`))];
    },
  },
  {
    what: "a leaf hash in a tile that was changed",
    sql: () =>
      "UPDATE urna.tiles SET hashes = set_byte(hashes, 32 * 44, 1 - sign(get_byte(hashes, 32 * 44))::int) WHERE level = 0 AND tile_index = 1",
    finds: () => [`TILE_CHANGED ${at("leaf 300")}`],
  },
  {
    what: "a root of a tile that was changed",
    sql: () => "UPDATE urna.tiles SET root = sha256(root) WHERE level = 0 AND tile_index = 1",
    finds: () => [`TILE_CHANGED ${at("leaf 256-511")}`],
  },
  {
    what: "a tile that was deleted",
    sql: () => "DELETE FROM urna.tiles WHERE level = 0 AND tile_index = 2",
    finds: () => [`TILE_CHANGED ${at("leaf 512-767")}`],
  },
  {
    what: "leaf hashes that are in no tile yet, changed",
    sql: () => `UPDATE urna.batches SET tail_hashes = sha256(tail_hashes) || substring(tail_hashes FROM 33)
      WHERE number = (SELECT max(number) FROM urna.batches WHERE votes > 0)`,
    finds: () => [expect.stringMatching(new RegExp(`^TAIL_CHANGED shard ${tampered} leaf \\d+ batch \\d+$`))],
  },
  {
    what: "the voter that a batch names for a leaf, changed",
    sql: () => `UPDATE urna.batches SET leaf_nullifiers = set_byte(leaf_nullifiers, 0, 255 - get_byte(leaf_nullifiers, 0))
      WHERE number = (SELECT min(number) FROM urna.batches WHERE votes > 0)`,
    finds: async () => [`LEAF_NULLIFIER_CHANGED ${at(`leaf 0 batch ${await story.batchOf(0)}`)}`],
  },
  {
    what: "a batch without votes that was deleted",
    sql: () => "DELETE FROM urna.batches WHERE number = 1",
    finds: () => [`BATCH_MISSING ${at("batch 1")}`],
  },
  {
    what: "a stamp that goes back",
    sql: () => "UPDATE urna.batches SET stamp = '2001-01-01' WHERE number = 3",
    finds: () => [`BATCH_BROKEN ${at("batch 3")}`],
  },
  {
    what: "a title in a definition that was changed",
    sql: () => `UPDATE urna.elections SET definition = decode(replace(encode(definition, 'hex'), encode('ada', 'hex'), encode('eva', 'hex')), 'hex')
      WHERE election_id = 'town'`,
    finds: () => [`DEFINITION_CHANGED ${at("town")}`],
  },
  {
    what: "a definition that was changed with its hash",
    sql: () => `UPDATE urna.elections SET definition = d, definition_hash = sha256(d) FROM
      (SELECT decode(replace(encode(definition, 'hex'), encode('ada', 'hex'), encode('eva', 'hex')), 'hex') AS d
       FROM urna.elections WHERE election_id = 'town') AS changed WHERE election_id = 'town'`,
    finds: () => [`DEFINITION_CHANGED ${at("town")}`],
  },
  {
    what: "a close that was moved behind later batches",
    sql: () => "UPDATE urna.elections SET close_batch = close_batch + 1 WHERE election_id = 'hall'",
    finds: () => [expect.stringMatching(new RegExp(`^CONTROL_CHANGED shard ${tampered} hall batch \\d+$`))],
  },
  {
    what: "a close that was moved before votes",
    sql: () => "UPDATE urna.elections SET close_batch = open_batch + 1 WHERE election_id = 'hall'",
    finds: () => [expect.stringMatching(new RegExp(`^VOTE_OUT_OF_TIME shard ${tampered} leaf \\d+ batch \\d+$`))],
  },
  {
    what: "slots of the other shard that were claimed",
    sql: () => "INSERT INTO urna.slots VALUES (0, 7)",
    finds: () => ["SLOTS_CHANGED shard 0"],
  },
];

test.each(changes)("$what is found, and named (I8)", async ({ sql, finds, after }) => {
  const expected = await finds();
  await story.sql(await sql());
  try {
    const found = await story.found();
    expect(found).toEqual(expect.arrayContaining([...expected]));
    expect(found.filter((place) => place.includes("shard 0") && !place.startsWith("SLOTS_CHANGED"))).toEqual([]);
  } finally {
    await story.undo();
    if (after !== undefined) await story.sql(after);
  }
  expect(await story.found()).toEqual([]);
});
