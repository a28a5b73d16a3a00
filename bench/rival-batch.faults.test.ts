/** A batch whose outcome is unknown, while another writer's batch bears its number (design, cast path 6 and 8). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ShardRig } from "#bench/shard-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";

let rig: ShardRig;

beforeAll(async () => {
  rig = await ShardRig.start({ nodes: 2 });
});

afterAll(() => rig?.[Symbol.asyncDispose]());

test("a lost batch is not taken for the one that another writer stored under its number (I1, I4, I6)", async () => {
  const election = await rig.open("rivals");
  const [before, writer] = [await rig.head(), await rig.writer()];
  const votes = election.fresh(3);
  const holding = rig.holdVotes("commit");
  const casting = rig.cast(votes, { node: writer, deadlineMs: 20_000 });
  const held = await holding;
  // Awake it would notice within a second that its session has ended, and take over itself.
  writer.freeze();
  const lostNumber = (await rig.head()).batch + 1;
  await waitFor("another writer's batch of that number", 20_000, async () => {
    const epoch = await rig.epochOf(lostNumber);
    return epoch !== undefined && epoch > before.epoch ? true : undefined;
  });
  held.cut();
  writer.thaw();
  expect((await casting).map(({ outcome }) => outcome)).toEqual(["UNKNOWN", "UNKNOWN", "UNKNOWN"]);
  expect(await rig.rowsOf(election, votes)).toEqual([]);
  expect(await rig.writer()).not.toBe(writer);
  expect((await rig.settle(votes)).map(({ outcome }) => outcome)).toEqual(["RECORDED", "RECORDED", "RECORDED"]);
  await rig.check();
});
