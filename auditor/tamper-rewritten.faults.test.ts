/**
 * What an administrator can do while the shard stands still, leaving a database without any contradiction in itself: only what was
 * signed before shows it (I8). Undone each time, and clean again.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { waitFor } from "#deploy/wait-for.ts";
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
  const leaf = await story.cutOff();
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

test("a loss that an operator has accepted stays a finding for whoever remembers the votes, and for nobody else", async () => {
  await story.stopShard();
  const leaf = await story.cutOff();
  expect(await story.acceptLoss()).toBe(`urna/shard/${tampered}/2`);
  await story.story.cast("town", 100);
  await story.untilSigned();
  // The tally starts anew when it hears of the log's new name; until then it counts what is lost.
  const findings = await waitFor("the tally to start anew", 30_000, async () => {
    const report = await story.audit();
    const isAnew = report.gaps.length === 0 && report.findings.every(({ kind }) => kind !== "TALLY_DIFFERS");
    return isAnew ? report.findings : undefined;
  });
  expect([...new Set(findings.map(({ kind }) => kind))]).toEqual(["LOSS_ACCEPTED"]);
  expect(findings.every(({ shardId }) => shardId === tampered)).toBe(true);
  expect(findings.some((finding) => finding.leaf !== undefined && finding.leaf <= leaf)).toBe(true);
  expect(await story.found({ stateFile: join(story.folder, "another.json") })).toEqual([]);
});
