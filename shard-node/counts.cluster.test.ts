/** The counts of one shard: followed from anywhere they come to the same sums, and the rows counted at a cut agree. */
import { expect, test } from "vitest";
import { CountFold, recountAt } from "#bench/rig-counts.ts";
import { withoutKey } from "#bench/rig-election.ts";
import { all, outcomesOf, sharedRig } from "./shared-rig.ts";

const rigOf = sharedRig();

test("whoever follows the counts from 0, from the middle, or from 0 afterwards comes to the same sums, exactly once (I5, I7)", async () => {
  const rig = rigOf();
  const election = await rig.open("followed");
  const live = CountFold.follow(await rig.writer(), 0);
  const storm = rig.storm(election, { votesPerFrame: 7 });
  await storm.more(200);
  const middle = live.now();
  const fromMiddle = CountFold.follow(await rig.writer(), middle.throughBatch);
  await storm.more(200);
  const votes = (await storm.stop()).map(({ vote }) => vote);
  await rig.cast([...votes.slice(0, 20), ...votes.slice(0, 20).map(withoutKey)]);
  const { batch } = await rig.head();
  const late = CountFold.follow(await rig.writer(), 0);
  const [a, b, c] = [await live.reaches(batch), await fromMiddle.reaches(batch), await late.reaches(batch)];
  expect(a.ballotsOf(election.id)).toBe(BigInt(votes.length));
  expect(c.since(a).cells).toEqual({});
  expect(a.since(middle).cells).toEqual(b.cells);
  for (const fold of [live, fromMiddle, late]) await fold.stop();
});

test("counts go on where they stood when the node is started again: nothing is counted twice, nothing is missed (I5, I7)", async () => {
  const rig = rigOf();
  const election = await rig.open("followed-across-a-restart");
  const node = await rig.writer();
  const before = CountFold.follow(node, 0);
  await rig.settle(election.fresh(100));
  const seen = await before.reaches((await rig.head()).batch);
  expect(await node.kill("SIGTERM")).toBe(0);
  expect(await before.stop()).toBe("SHARD_UNAVAILABLE");
  await node.start();
  await rig.settle(election.fresh(50));
  const { batch } = await rig.head();
  const after = CountFold.follow(await rig.writer(), seen.throughBatch);
  const whole = CountFold.follow(await rig.writer(), 0);
  const [rest, sum] = [await after.reaches(batch), await whole.reaches(batch)];
  expect(sum.since(seen).cells).toEqual(rest.cells);
  expect(rest.ballotsOf(election.id)).toBe(50n);
  expect(sum.ballotsOf(election.id)).toBe(150n);
  for (const fold of [after, whole]) await fold.stop();
});

test("a recount of the rows at a cut equals the counts at that cut, while votes arrive (I5, I7)", async () => {
  const rig = rigOf();
  const election = await rig.open("recounted");
  const fold = CountFold.follow(await rig.writer(), 0);
  const storm = rig.storm(election, { votesPerFrame: 11 });
  let ballots = 0n;
  for (let round = 0; round < 5; round++) {
    await storm.more(100);
    const cut = fold.now();
    expect(await recountAt(await rig.writer(), election.id, cut.throughBatch)).toEqual(cut.of(election.id));
    expect(cut.ballotsOf(election.id)).toBeGreaterThanOrEqual(ballots);
    ballots = cut.ballotsOf(election.id);
  }
  expect(ballots).toBeGreaterThan(0n);
  expect(outcomesOf((await storm.stop()).map(({ answer }) => answer)).every((o) => o === "RECORDED")).toBe(true);
  await fold.stop();
});

test("one row changed by SQL makes the recount differ from the counts, and the checker sees it too (I5, I7)", async () => {
  const rig = rigOf();
  const election = await rig.open("changed");
  expect(outcomesOf(await rig.cast(election.fresh(10)))).toEqual(all(10, "RECORDED"));
  const fold = CountFold.follow(await rig.writer(), 0);
  const cut = await fold.reaches((await rig.head()).batch);
  const recount = async () => recountAt(await rig.writer(), election.id, cut.throughBatch);
  const table = await rig.votesTable(election.id);
  await rig.sql(`CREATE TABLE public.rig_saved AS SELECT * FROM ${table}`);
  await rig.sql(`UPDATE ${table} SET ballot = CASE ballot WHEN '\\x0001' THEN '\\x0002'::bytea ELSE '\\x0001' END
    WHERE leaf_index = (SELECT max(leaf_index) FROM ${table})`);
  expect(await recount()).not.toEqual(cut.of(election.id));
  await expect(rig.check()).rejects.toThrow(/A5: [\s\S]*A1: /);
  await rig.sql(`DELETE FROM ${table}`);
  expect(await recount()).toEqual({});
  await rig.sql(`INSERT INTO ${table} SELECT * FROM public.rig_saved`);
  expect(await recount()).toEqual(cut.of(election.id));
  await fold.stop();
});
