/** A database that holds less than was published, or another ledger: the shard refuses to serve, loudly (I8). */
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ShardRig } from "#bench/shard-rig.ts";
import { encodeLedgerKey, generateLedgerKey } from "#proto/ledger/signed-note.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import { cutOff, publishThenStop } from "./lost-log.ts";

let rig: ShardRig;

beforeEach(async () => {
  rig = await ShardRig.start();
});

afterEach(() => rig?.[Symbol.asyncDispose]());

test("votes that were published and are missing stop the shard, which says how many; accepting the loss begins a new log", async () => {
  await publishThenStop(rig);
  await cutOff(rig, 300);
  const node = rig.node("a");
  await node.start();
  expect(await node.untilNotReady(/missing/)).toMatch(
    /600 leaves, and the database holds 300: 300 acknowledged votes are missing/,
  );
  expect(await node.isServing()).toBe(false);
  expect(await node.log.since()).toContain("this shard refuses to serve");
  const { logOrigin } = await node.client.acceptShardLoss({ requestedBy: "an admin" });
  expect(logOrigin).toBe("urna/shard/0/2");
  await node.untilServing();
  const { signedNote } = await node.client.getShardCheckpoint({});
  expect(Buffer.from(signedNote).toString().split("\n").slice(0, 2)).toEqual(["urna/shard/0/2", "300"]);
  const [batch] = await rig.sql<{ control: unknown }>(
    "SELECT control FROM urna.batches WHERE control IS NOT NULL ORDER BY number DESC LIMIT 1",
  );
  expect(batch?.control).toEqual([{ action: "accept-loss", election: "", by: "an admin" }]);
  await expect(node.client.acceptShardLoss({ requestedBy: "an admin" })).rejects.toMatchObject({
    reason: "INVALID_REQUEST",
  });
  await node.kill("SIGTERM");
  await node.start();
  await node.untilServing();
});

test("a ledger rewritten coherently, of the size that was published, stops the shard", async () => {
  await publishThenStop(rig);
  await forgeLastLeaf();
  const node = rig.node("a");
  await node.start();
  expect(await node.untilNotReady(/others/)).toMatch(/600 leaves, and the first 600 leaves in the database are others/);
  expect(await node.isServing()).toBe(false);
});

/** Another last leaf, with the root that follows from it. */
async function forgeLastLeaf(): Promise<void> {
  const tiles = await rig.sql<{ hashes: Buffer }>("SELECT hashes FROM urna.tiles WHERE level = 0 ORDER BY tile_index");
  const batches = await rig.sql<{ number: string; tail_hashes: Buffer }>(
    "SELECT number, tail_hashes FROM urna.batches WHERE tree_size > 512 ORDER BY tree_size, number",
  );
  const [last] = batches.filter(({ tail_hashes }) => tail_hashes.length > 0).slice(-1);
  if (last === undefined) throw new Error("no batch has a tail");
  last.tail_hashes.fill(7, last.tail_hashes.length - 32);
  const tree = TreeFrontier.empty();
  tree.append(Buffer.concat([...tiles.map(({ hashes }) => hashes), ...batches.map(({ tail_hashes }) => tail_hashes)]));
  expect(tree.size).toBe(600);
  await rig.sql("UPDATE urna.batches SET tail_hashes = $1 WHERE number = $2", [last.tail_hashes, last.number]);
  await rig.sql("UPDATE urna.batches SET root = $1 WHERE number >= $2", [tree.root, last.number]);
}

test("a node with another key does not lead, and says whose key the shard has", async () => {
  await publishThenStop(rig);
  writeFileSync(rig.shardKeyFile, encodeLedgerKey(generateLedgerKey()));
  const node = rig.node("a");
  await node.start();
  expect(await node.untilNotReady(/fingerprint/)).toMatch(
    /signs with the key of fingerprint [0-9a-f]{64}, this node has the one of/,
  );
});
