/** The outages of one shard that take long: a standby that freezes, a cable that is out, a backend that sleeps. */
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFailed, test } from "vitest";
import { all, outcomesOf, sharedRig, underLoad, watched } from "./shared-rig.ts";

const rigOf = sharedRig({ nodes: 2 });

test("the standby killed -9 under load and started again: votes wait for it, and all are recorded (I1, I4)", async () => {
  const rig = rigOf();
  await underLoad(rig, "standby-killed", async () => {
    await rig.standby.kill();
    for (const node of rig.nodes) await node.untilServing(false);
    await rig.standby.start();
  });
});

test("a standby frozen longer than its connection lasts: nothing is acknowledged until it wakes (I1, I4)", async () => {
  const rig = rigOf();
  const election = await rig.open("standby-frozen");
  const writer = await rig.writer();
  rig.standby.freeze();
  const votes = election.fresh(20);
  const settling = watched(rig.settle(votes));
  await rig.untilBackend("wait_event = 'SyncRep'");
  for (const node of rig.nodes) await node.untilServing(false);
  await rig.untilNoStandby();
  expect(settling.isOver()).toBe(false);
  rig.standby.thaw();
  for (const { outcome } of await settling.result) expect(outcome).toMatch(/^(RECORDED|REPEAT)$/);
  expect(await rig.rowsOf(election, votes)).toHaveLength(20);
  expect(writer.isRunning).toBe(true);
});

test("the cable between standby and primary out, and in again: nothing is acknowledged meanwhile (I1, I4)", async () => {
  const rig = rigOf();
  const election = await rig.open("cable-out");
  rig.standbyProxy.partition();
  const votes = election.fresh(20);
  const settling = watched(rig.settle(votes));
  await delay(3_000);
  await (await rig.writer()).untilServing(false);
  expect(settling.isOver()).toBe(false);
  rig.standbyProxy.heal();
  for (const { outcome } of await settling.result) expect(outcome).toMatch(/^(RECORDED|REPEAT)$/);
});

test("a backend frozen with COMMIT unread and the head locked: nobody writes past it, and it ends one way only (I2, I6)", async () => {
  const rig = rigOf();
  const election = await rig.open("backend-frozen");
  const before = await rig.head();
  const holding = rig.holdVotes("commit");
  const votes = election.fresh(3);
  const settling = watched(rig.settle(votes));
  const held = await holding;
  const backend = await rig.untilBackend(`pid = ${held.backendPid} AND state = 'idle in transaction'`);
  process.kill(backend, "SIGSTOP");
  onTestFailed(() => {
    process.kill(backend, "SIGCONT");
  });
  held.release();
  await rig.primary.log.mark();
  // Its lock stops every takeover; the one who waits asks it to end, and it cannot hear.
  await rig.primary.log.until(/canceling statement due to lock timeout/);
  expect(settling.isOver()).toBe(false);
  expect((await rig.head()).epoch).toBe(before.epoch);
  process.kill(backend, "SIGCONT");
  const answers = await settling.result;
  for (const { outcome } of answers) expect(outcome).toMatch(/^(RECORDED|REPEAT)$/);
  const rows = await rig.rowsOf(election, votes);
  expect(new Set(rows.map(({ leaf }) => leaf))).toEqual(new Set(answers.map(({ leaf }) => leaf)));
  expect((await rig.head()).epoch).toBeGreaterThan(before.epoch);
});

test("a connection that carries nothing, in either direction, is given up: the votes are recorded over another (I2, I4)", async () => {
  const rig = rigOf();
  const election = await rig.open("silent-connection");
  const [before, writer] = [await rig.head(), await rig.writer()];
  writer.proxy.freeze();
  const votes = election.fresh(5);
  const settling = watched(rig.settle(votes));
  await rig.untilEpoch(before.epoch + 1);
  writer.proxy.thaw();
  for (const { outcome } of await settling.result) expect(outcome).toMatch(/^(RECORDED|REPEAT)$/);
  expect(await rig.rowsOf(election, votes)).toHaveLength(5);
});

test("a writer told to stop settles what it has received, refuses new votes and ends with 0; the spare goes on (I4)", async () => {
  const rig = rigOf();
  const election = await rig.open("stopped");
  const [writer, votes] = [await rig.writer(), election.fresh(2_000)];
  const holding = rig.holdVotes("commit");
  const casting = rig.cast(votes, { node: writer });
  const held = await holding;
  const stopped = writer.kill("SIGTERM");
  await writer.untilServing(false);
  held.release();
  expect(outcomesOf(await casting)).toEqual(all(2_000, "RECORDED"));
  expect(await stopped).toBe(0);
  expect(outcomesOf(await rig.settle(election.fresh(5)))).toEqual(all(5, "RECORDED"));
  expect(await rig.writer()).not.toBe(writer);
  await writer.start();
});
