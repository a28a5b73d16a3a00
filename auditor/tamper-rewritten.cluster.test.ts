/**
 * What an administrator can do while the shard stands still, leaving a database without any contradiction in itself: only what was
 * signed before shows it (I8). Undone each time, and clean again.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { TamperStory, tampered } from "./tamper-story.ts";

let story: TamperStory;

beforeAll(async () => {
  story = await TamperStory.start();
  // The auditor remembers checkpoints of several sizes.
  for (let i = 0; i < 3; i++) {
    expect(await story.found()).toEqual([]);
    await story.story.cast("town", 200);
    await story.untilSigned();
  }
  expect(await story.found()).toEqual([]);
});

afterAll(() => story?.[Symbol.asyncDispose]());

test("the last batch, cut off on both servers, is missed by leaf", async () => {
  await story.keep();
  const leaves = await story.signedLeaves();
  await story.stopShard();
  const [cut] = await story.sql<{ number: number; leaf: number }>(
    "SELECT number::int, (tree_size - votes)::int AS leaf FROM urna.batches WHERE votes > 0 ORDER BY number DESC LIMIT 1",
  );
  const { number = 0, leaf = 0 } = cut ?? {};
  await story.sql(`
    DELETE FROM urna.votes WHERE batch_number >= ${number}; DELETE FROM urna.batches WHERE number >= ${number};
    DELETE FROM urna.tiles WHERE (tile_index + 1) * 256 ^ (level + 1) > ${leaf};
    UPDATE urna.head SET batch_number = ${number - 1}, tree_size = ${leaf}`);
  expect(await story.found()).toContain(`LEAVES_MISSING shard ${tampered} leaf ${leaf}-${leaves - 1}`);
  await story.undo({ head: true });
  await story.startShard();
  expect(await story.found()).toEqual([]);
});

test("everything from a leaf on, rewritten coherently without the key, contradicts a signed root, and the leaf is between two of them", async () => {
  await story.stopShard();
  const leaf = 700;
  const change = `UPDATE urna.votes SET ballot = $1 WHERE leaf_index = ${leaf}`;
  const [before] = await story.sql<{ ballot: Buffer }>(`SELECT ballot FROM urna.votes WHERE leaf_index = ${leaf}`);
  await story.sql(change, [Buffer.from(before?.ballot[1] === 1 ? "0002" : "0001", "hex")]);
  await story.rewrite();
  const { findings } = await story.audit();
  expect(findings.map(({ kind }) => kind)).not.toContain("ROW_CHANGED");
  const found = findings.find(({ kind }) => kind === "CHECKPOINT_CONTRADICTED");
  expect(found).toMatchObject({ shardId: tampered });
  expect(found?.leaf).toBeLessThanOrEqual(leaf);
  expect(found?.throughLeaf).toBeGreaterThanOrEqual(leaf);
  await story.sql(change, [before?.ballot]);
  await story.rewrite();
  await story.startShard();
  expect(await story.found()).toEqual([]);
});
