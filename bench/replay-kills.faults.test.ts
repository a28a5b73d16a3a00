/** The replay at 1/20 scale with kill -9 of each kind of process in turn, and of whole shards: the check says true every time. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WitnessedFault } from "#bench/checker.ts";
import { ClusterScene } from "#bench/cluster-scene.ts";
import { readElectionFile } from "#bench/election-file.ts";

const newHampshire = fileURLToPath(new URL("data/nh-2020-president.csv", import.meta.url));

let scene: ClusterScene;

beforeAll(async () => {
  scene = await ClusterScene.start();
});

afterAll(() => scene?.[Symbol.asyncDispose]());

const kills: readonly (readonly string[])[] = [
  ["router-0"],
  ["router-0", "router-1"],
  ["tally"],
  ["shard-0-a"],
  ["shard-0-b"],
  ["shard-1-a", "shard-1-b"],
  ["shard-0-primary"],
  ["shard-0-standby"],
  ["shard-1-primary", "shard-1-standby"],
  ["shard-0-a", "shard-0-primary", "router-1", "tally"],
];

test.each(kills.map((names) => ({ names, what: names.join(", ") })))(
  "$what killed twice during a replay: file, tally and rows agree (I1, I2, I4, I7)",
  async ({ names }) => {
    const electionId = `without-${names.join("-")}`;
    const file = (await readElectionFile(newHampshire, { electionId })).scaled(1 / 20);
    await scene.open(file.definition);
    const faults: WitnessedFault[] = [];
    const killAll = async () => {
      faults.push(...(await Promise.all(names.map((name) => scene.killAndWait(name)))));
    };
    const { report, frameFaults } = await scene.replay(file, {
      at: {
        0.2: killAll,
        0.6: async () => {
          await scene.cluster.waitUntilServing();
          await killAll();
        },
      },
    });
    await scene.cluster.waitUntilServing();
    for (const shard of [0, 1]) await scene.cluster.untilSynchronous(shard);
    expect(report).toMatchObject({ recorded: file.ballotCount, repeats: 0, rejected: {}, unknown: 0, unsent: 0 });
    expect(frameFaults).toEqual([]);
    expect(faults).toHaveLength(2 * names.length);
    expect(await scene.checkTally(file)).toMatchObject({ tallyMatchesFile: true, recountMatchesTally: true });
    expect((await scene.check([electionId], faults)).findings).toEqual([]);
  },
  180_000,
);
