/** Parts of the stored ledger that were changed one by one: the shard refuses to serve, loudly (I8). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ShardRig } from "#bench/shard-rig.ts";
import { publishThenStop } from "./lost-log.ts";

let rig: ShardRig;

beforeEach(async () => {
  rig = await ShardRig.start();
});

afterEach(() => rig?.[Symbol.asyncDispose]());

for (const [what, statement] of [
  [
    "a root of the last batch",
    "UPDATE urna.batches SET root = sha256(root) WHERE number = (SELECT max(number) FROM urna.batches)",
  ],
  [
    "a leaf hash that no tile holds yet",
    "UPDATE urna.batches SET tail_hashes = sha256(tail_hashes) || substring(tail_hashes FROM 33) WHERE number = (SELECT max(number) FROM urna.batches WHERE votes > 0)",
  ],
  ["a root of a tile", "UPDATE urna.tiles SET root = sha256(root) WHERE level = 0 AND tile_index = 1"],
] as const) {
  test(`${what} that was changed stops the shard: its ledger does not fold to its own root`, async () => {
    await publishThenStop(rig);
    await rig.sql(statement);
    const node = rig.node("a");
    await node.start();
    expect(await node.untilNotReady(/damaged/)).toMatch(/the stored ledger is damaged/);
  });
}
