/** The main job at 1/20 scale on a whole cluster, undisturbed and with everything killed once. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WitnessedFault } from "#bench/checker.ts";
import { isFlushedOnStandby } from "#bench/checker-copies.ts";
import { withSession } from "#bench/checker-shard.ts";
import { ClusterScene } from "#bench/cluster-scene.ts";
import type { ElectionFile } from "#bench/election-file.ts";
import { readElectionFile } from "#bench/election-file.ts";

const newHampshire = fileURLToPath(new URL("data/nh-2020-president.csv", import.meta.url));

let scene: ClusterScene;

async function scaledFile(electionId: string, fraction: number): Promise<ElectionFile> {
  return (await readElectionFile(newHampshire, { electionId })).scaled(fraction);
}

beforeAll(async () => {
  scene = await ClusterScene.start();
});

afterAll(() => scene?.[Symbol.asyncDispose]());

const faithful = { tallyMatchesFile: true, recountMatchesTally: true, differences: [] };

test("every ballot is recorded once, and the tally is exactly the file at every level (I5, I7)", async () => {
  const file = await scaledFile("undisturbed", 1 / 20);
  await scene.open(file.definition);
  const { report, frameFaults, frames } = await scene.replay(file);
  expect(report).toMatchObject({ recorded: file.ballotCount, repeats: 0, rejected: {}, unknown: 0, unsent: 0 });
  expect([...report.perShard.keys()].sort()).toEqual(["urna/shard/0", "urna/shard/1"]);
  expect(frameFaults).toEqual([]);
  expect(frames).toBeGreaterThan(0);
  expect(await scene.checkTally(file)).toMatchObject(faithful);
  expect((await scene.check([file.electionId])).findings).toEqual([]);

  const again = await scene.replay(file);
  expect(again.report).toMatchObject({ recorded: 0, repeats: file.ballotCount, rejected: {}, unknown: 0 });
  expect(await scene.checkTally(file)).toMatchObject(faithful);
  expect((await scene.check([file.electionId])).findings).toEqual([]);
});

test("an acknowledged vote is flushed on the standby when its receipt is there (I1)", async () => {
  const file = await scaledFile("flushed", 1 / 200);
  await scene.open(file.definition);
  const flushed: Promise<boolean>[] = [];
  const sampleNewest = () => {
    const { outcome } = scene.ledger.entries.at(-1) ?? {};
    if (outcome === undefined || !("receipt" in outcome)) throw new Error("the newest entry is no acknowledgement");
    const shard = Number(outcome.receipt.logOrigin.split("/").at(-1));
    const standbyUrl = scene.databases()[shard]?.standbyUrl ?? "";
    flushed.push(isFlushedOnStandby(standbyUrl, outcome.receipt.leafIndex));
  };
  await scene.replay(file, { at: { 0.1: sampleNewest, 0.4: sampleNewest, 0.7: sampleNewest, 1: sampleNewest } });
  expect(await Promise.all(flushed)).toEqual([true, true, true, true]);
});

test("whatever is killed during the replay, nothing acknowledged is lost or counted twice (I1, I2, I4, I7)", async () => {
  const file = await scaledFile("killed", 1 / 10);
  await scene.open(file.definition);
  const faults: Promise<WitnessedFault>[] = [];
  const kill = (name: string) => () => {
    faults.push(scene.killAndWait(name));
  };
  const { report, frameFaults } = await scene.replay(file, {
    at: {
      0.1: kill("router-0"),
      0.2: kill("shard-0-a"),
      0.3: kill("tally"),
      0.4: kill("shard-1-standby"),
      0.55: kill("shard-1-b"),
      0.65: kill("shard-0-primary"),
      0.8: kill("router-1"),
      0.9: kill("shard-1-a"),
    },
  });
  const witnessed = await Promise.all(faults);
  await scene.cluster.waitUntilServing();
  for (const shard of [0, 1]) await scene.cluster.untilSynchronous(shard);
  expect(report).toMatchObject({ recorded: file.ballotCount, repeats: 0, rejected: {}, unknown: 0, unsent: 0 });
  expect(report.resends).toBeGreaterThan(0);
  expect(frameFaults).toEqual([]);
  expect(witnessed).toHaveLength(8);
  expect(await scene.checkTally(file)).toMatchObject(faithful);
  expect((await scene.check([file.electionId], witnessed)).findings).toEqual([]);
}, 180_000);

test("one row changed by SQL makes the recount differ, and the checker red (I5)", async () => {
  const file = await scaledFile("tampered", 1 / 2_000);
  await scene.open(file.definition);
  await scene.replay(file);
  expect(await scene.checkTally(file)).toMatchObject(faithful);
  const changed = await withSession(scene.cluster.ownerUrl(0), (client) =>
    client.query(
      `UPDATE urna.votes SET ballot = CASE ballot WHEN '\\x0001' THEN '\\x0002'::bytea ELSE '\\x0001' END
       WHERE leaf_index = (SELECT max(leaf_index) FROM urna.votes)`,
    ),
  );
  expect(changed.rowCount).toBe(1);
  const verdict = await scene.checkTally(file);
  expect(verdict).toMatchObject({ tallyMatchesFile: true, recountMatchesTally: false });
  expect(verdict.differences[0]).toMatch(/^recount of shard 0, .* in the tally, .* rows$/);
  const { findings } = await scene.check([file.electionId]);
  for (const assertion of ["A1", "A3", "A5"]) {
    expect(findings.some((finding) => finding.startsWith(`${assertion}:`))).toBe(true);
  }
});
