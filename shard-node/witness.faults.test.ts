/** A shard and its witness while votes arrive, and losses that are accepted more than once (I8). */
import { afterEach, expect, test } from "vitest";
import { scriptedTally } from "#bench/rig-tally.ts";
import { ShardRig } from "#bench/shard-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { checkpointOver, cutOff } from "./lost-log.ts";
import { all, outcomesOf } from "./shared-rig.ts";

let rig: ShardRig;

afterEach(() => rig?.[Symbol.asyncDispose]());

test("a tally that is asked late has seen votes that arrived meanwhile: none of them is missing, and the writer goes on (I8)", async () => {
  rig = await ShardRig.start();
  const election = await rig.open("e");
  const [before, node] = [await rig.head(), rig.node("a")];
  await using tally = await scriptedTally(rig, async () => {
    const { votes } = await rig.head();
    await rig.cast(election.fresh(5));
    return await checkpointOver(rig, votes + 5);
  });
  await tally.answered();
  expect(outcomesOf(await rig.cast(election.fresh(5)))).toEqual(all(5, "RECORDED"));
  expect(await node.log.since()).not.toContain("this shard must not go on");
  expect((await rig.head()).epoch).toBe(before.epoch);
  await rig.check();
});

test("a loss that shows while the node writes makes it a spare that says so: it is accepted there, too (I8)", async () => {
  rig = await ShardRig.start();
  const election = await rig.open("e");
  for (let i = 0; i < 2; i++) await rig.cast(election.fresh(300));
  await checkpointOver(rig, 600);
  const node = rig.node("a");
  node.freeze();
  await cutOff(rig, 300);
  node.thaw();
  expect(await node.untilNotReady(/missing|shorter/)).toBeTruthy();
  await waitFor("the node to be a spare", 15_000, async () => ((await node.isWriter()) ? undefined : true));
  expect(await node.untilNotReady(/accept-loss/)).toMatch(/600 leaves, and the database holds 300/);
  const { logOrigin } = await node.client.acceptShardLoss({ requestedBy: "an admin" });
  expect(logOrigin).toBe("urna/shard/0/2");
  await node.untilServing();
});

test("a database from before an accepted loss begins a generation that no log has yet: its name is never given twice (I8)", async () => {
  rig = await ShardRig.start();
  const election = await rig.open("e");
  for (let i = 0; i < 2; i++) await rig.cast(election.fresh(300));
  await checkpointOver(rig, 600);
  const node = rig.node("a");
  await node.kill("SIGTERM");
  await cutOff(rig, 300);
  await node.start();
  await node.untilNotReady(/missing/);
  expect((await node.client.acceptShardLoss({ requestedBy: "an admin" })).logOrigin).toBe("urna/shard/0/2");
  await node.untilServing();
  await rig.cast(election.fresh(100));
  await checkpointOver(rig, 400);
  await node.kill("SIGTERM");
  await cutOff(rig, 300);
  await rig.sql("UPDATE urna.head SET generation = 1");
  await node.start();
  await node.untilNotReady(/still at generation 1/);
  expect((await node.client.acceptShardLoss({ requestedBy: "an admin" })).logOrigin).toBe("urna/shard/0/3");
  await node.untilServing();
});

test("of two nodes that refuse for one loss, the other is a ready spare once it is accepted (I8)", async () => {
  rig = await ShardRig.start({ nodes: 2 });
  const election = await rig.open("e");
  for (let i = 0; i < 2; i++) await rig.cast(election.fresh(300));
  const note = await checkpointOver(rig, 600);
  for (const node of rig.nodes) await node.kill("SIGTERM");
  await cutOff(rig, 300);
  await using _tally = await scriptedTally(rig, async () => note);
  for (const node of rig.nodes) await node.start();
  for (const node of rig.nodes) await node.untilNotReady(/missing/);
  await rig.node("a").client.acceptShardLoss({ requestedBy: "an admin" });
  await rig.untilHealed();
  await waitFor("both nodes to be ready", 15_000, async () => {
    const statuses = await Promise.all(rig.nodes.map((node) => node.status()));
    return statuses.every((status) => status?.notReadyBecause === "") ? true : undefined;
  });
});

test("a node that knows of no checkpoint does not take over while the tally is away: it might sign another tree of one size (I8)", async () => {
  rig = await ShardRig.start({ nodes: 2 });
  const election = await rig.open("e");
  for (let i = 0; i < 2; i++) await rig.cast(election.fresh(300));
  const note = await checkpointOver(rig, 600);
  for (const node of rig.nodes) await node.kill("SIGTERM");
  rig.forgetState(rig.node("b"));
  await cutOff(rig, 300);
  const node = rig.node("b");
  await node.start();
  expect(await node.untilNotReady(/tally/)).toMatch(/serves once the tally answers/);
  await using _tally = await scriptedTally(rig, async () => note);
  expect(await node.untilNotReady(/missing/)).toMatch(/300 acknowledged votes are missing/);
});

test("a spare knows what the writer has published, and refuses a log that is shorter, also without the tally (I8)", async () => {
  rig = await ShardRig.start({ nodes: 2 });
  const election = await rig.open("e");
  for (let i = 0; i < 2; i++) await rig.cast(election.fresh(300));
  await checkpointOver(rig, 600);
  const writer = await rig.writer();
  const spare = rig.nodes.find((node) => node !== writer);
  if (spare === undefined) throw new Error("there are two nodes");
  await waitFor("the spare to learn of it", 10_000, () => (rig.keptLeaves(spare) >= 600 ? true : undefined));
  for (const node of rig.nodes) await node.kill();
  await cutOff(rig, 300);
  await spare.start();
  expect(await spare.untilNotReady(/missing/)).toMatch(/300 acknowledged votes are missing/);
});
