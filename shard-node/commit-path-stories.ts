/**
 * What may happen to the COMMIT of a batch, told for one version of Postgres: each story makes the fault, looks into the
 * database on which side of the COMMIT it hit, and ends with votes that are recorded once. The checker runs after all.
 */
import { expect, test } from "vitest";
import { withoutKey } from "#bench/rig-election.ts";
import type { ShardRig } from "#bench/shard-rig.ts";

export type RigOf = () => ShardRig;

let elections = 0;
/** An election of its own for each story. */
export const freshElection = (rig: ShardRig) => rig.open(`story-${++elections}`);

const recordedOnce = (n: number) => Array.from({ length: n }, () => "RECORDED");

export function lostCommitStories(rigOf: RigOf): void {
  test("a COMMIT lost before the server read it stored nothing; its votes join the next batch, recorded once (I2, I4)", async () => {
    const rig = rigOf();
    const [election, before] = [await freshElection(rig), await rig.head()];
    const writer = await rig.writer();
    await writer.log.mark();
    const holding = rig.holdVotes("commit");
    const votes = election.fresh(3);
    const casting = rig.cast(votes);
    const held = await holding;
    expect(await rig.rowsOf(election, votes)).toEqual([]);
    held.cut();
    const answers = await casting;
    expect(answers.map(({ outcome }) => outcome)).toEqual(recordedOnce(3));
    expect(await writer.log.until(/"found":(\w+)/)).toMatchObject({ 1: "false" });
    expect(await rig.epochOf(answers[0]?.batch ?? 0)).toBe(before.epoch + 1);
    expect(await rig.rowsOf(election, votes)).toHaveLength(3);
  });

  test("an answer lost after the server committed is found by batch id: original receipts, counted once (I1, I2, I4)", async () => {
    const rig = rigOf();
    const [election, before] = [await freshElection(rig), await rig.head()];
    const writer = await rig.writer();
    await writer.log.mark();
    const holding = rig.holdVotes("commit-answer");
    const votes = election.fresh(3);
    const casting = rig.cast(votes);
    const held = await holding;
    expect(held.tag).toBe("COMMIT");
    const stored = await rig.rowsOf(election, votes);
    expect(stored).toHaveLength(3);
    held.cut();
    const answers = await casting;
    expect(answers.map(({ outcome }) => outcome)).toEqual(recordedOnce(3));
    expect(await writer.log.until(/"found":(\w+)/)).toMatchObject({ 1: "true" });
    expect(new Set(answers.map(({ leaf }) => leaf))).toEqual(new Set(stored.map(({ leaf }) => leaf)));
    expect(await rig.epochOf(answers[0]?.batch ?? 0)).toBe(before.epoch);
    expect((await rig.head()).epoch).toBe(before.epoch + 1);
    expect(await rig.rowsOf(election, votes)).toHaveLength(3);
  });

  test("a writer killed between commit and answer: the spare gives the same vote its original receipt (I1, I3)", async () => {
    const rig = rigOf();
    const [election, writer] = [await freshElection(rig), await rig.writer()];
    const holding = rig.holdVotes("commit-answer");
    const votes = election.fresh(2);
    const casting = rig.cast(votes);
    const held = await holding;
    const stored = await rig.rowsOf(election, votes);
    await writer.kill("SIGKILL");
    held.cut();
    expect((await casting).map(({ outcome }) => outcome)).toEqual(["LOST", "LOST"]);
    const again = await rig.cast(votes);
    expect(await rig.writer()).not.toBe(writer);
    expect(again.map(({ outcome }) => outcome)).toEqual(["REPEAT", "REPEAT"]);
    expect(new Set(again.map(({ leaf }) => leaf))).toEqual(new Set(stored.map(({ leaf }) => leaf)));
    const keyless = await rig.cast(votes.map(withoutKey));
    expect(keyless.map(({ outcome }) => outcome)).toEqual(["ALREADY_VOTED", "ALREADY_VOTED"]);
    await writer.start();
  });
}
