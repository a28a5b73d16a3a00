/**
 * What may happen to the COMMIT of a batch, told for one version of Postgres: each story makes the fault, looks into the
 * database on which side of the COMMIT it hit, and the checker runs after it.
 */
import { expect, test } from "vitest";
import { choosing, type RigElection, withoutKey } from "#bench/rig-election.ts";
import type { ShardRig } from "#bench/shard-rig.ts";
import { all, outcomesOf, type RigOf, watched } from "./shared-rig.ts";

let elections = 0;
/** An election of its own for each story. */
const freshElection = (rig: ShardRig) => rig.open(`story-${++elections}`);

export function lostCommitStories(rigOf: RigOf): void {
  test("a COMMIT lost before the server read it stored nothing; its votes join the next batch, recorded once (I2, I4)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const [before, writer] = [await rig.head(), await rig.writer()];
    await writer.log.mark();
    const holding = rig.holdVotes("commit");
    const votes = election.fresh(3);
    const casting = rig.cast(votes);
    const held = await holding;
    expect(await rig.rowsOf(election, votes)).toEqual([]);
    held.cut();
    const answers = await casting;
    expect(outcomesOf(answers)).toEqual(all(3, "RECORDED"));
    expect(await writer.log.until(/"found":(\w+)/)).toMatchObject({ 1: "false" });
    expect(await rig.epochOf(answers[0]?.batch ?? 0)).toBe(before.epoch + 1);
    expect(await rig.rowsOf(election, votes)).toHaveLength(3);
  });

  test("an answer lost after the server committed is found by batch id: original receipts, counted once (I1, I2, I4)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const [before, writer] = [await rig.head(), await rig.writer()];
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
    expect(outcomesOf(answers)).toEqual(all(3, "RECORDED"));
    expect(await writer.log.until(/"found":(\w+)/)).toMatchObject({ 1: "true" });
    expect(new Set(answers.map(({ leaf }) => leaf))).toEqual(new Set(stored.map(({ leaf }) => leaf)));
    expect(await rig.epochOf(answers[0]?.batch ?? 0)).toBe(before.epoch);
    expect((await rig.head()).epoch).toBe(before.epoch + 1);
    expect(await rig.rowsOf(election, votes)).toHaveLength(3);
  });

  test("a COMMIT delivered after its client was given up meets a fenced session: nothing is doubled (I2, I6)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const before = await rig.head();
    await rig.primary.log.mark();
    const holding = rig.holdVotes("commit");
    const votes = election.fresh(3);
    const casting = rig.cast(votes);
    const held = await holding;
    held.cutClient();
    const answers = await casting;
    // The session held the head's lock: it had to be ended before anybody could take over.
    await rig.primary.log.until(/terminating connection due to (administrator command|idle-in-transaction timeout)/);
    held.release();
    expect(outcomesOf(answers)).toEqual(all(3, "RECORDED"));
    expect(await rig.epochOf(answers[0]?.batch ?? 0)).toBeGreaterThan(before.epoch);
    expect(await rig.rowsOf(election, votes)).toHaveLength(3);
  });
}

/** The writer's INSERTs under this epoch take so long that its session can be caught in the middle of one. */
async function slowInserts(rig: ShardRig, { id }: RigElection, epoch: number): Promise<void> {
  await rig.sql(`CREATE OR REPLACE FUNCTION public.rig_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT writer_epoch FROM urna.head) = ${epoch} THEN PERFORM pg_sleep(1.5); END IF; RETURN NULL; END $$`);
  await rig.sql(`CREATE TRIGGER rig_slow AFTER INSERT ON ${await rig.votesTable(id)} FOR EACH STATEMENT
    EXECUTE FUNCTION public.rig_slow()`);
}

export function frozenBackendStories(rigOf: RigOf): void {
  test("a frozen backend that wakes after the takeover fails at the fence: what was refused stays unstored (I4, I6)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const [before, writer] = [await rig.head(), await rig.writer()];
    for (const node of rig.nodes) if (node !== writer) node.freeze();
    await slowInserts(rig, election, before.epoch);
    const takingOver = rig.hold("commit-answer", /urna\.take_over/);
    const votes = election.fresh(2);
    const casting = rig.cast(votes, { node: writer, deadlineMs: 2_500 });
    const backend = await rig.untilBackend("wait_event = 'PgSleep'");
    process.kill(backend, "SIGSTOP");
    // The takeover is committed and nobody knows: not one batch stands between the sleeper and the fence.
    const held = await takingOver;
    expect(await rig.head()).toMatchObject({ epoch: before.epoch + 1 });
    await rig.primary.log.mark();
    process.kill(backend, "SIGCONT");
    await rig.primary.log.until(/advance_head: the head has moved/);
    held.release();
    expect(outcomesOf(await casting)).toEqual(all(2, "DEADLINE_PASSED"));
    expect(await rig.rowsOf(election, votes)).toEqual([]);
    for (const node of rig.nodes) node.thaw();
    expect(outcomesOf(await rig.settle(votes))).toEqual(all(2, "RECORDED"));
  });
}

export function deadWriterStories(rigOf: RigOf): void {
  test("of two nodes exactly one writes; the other takes no votes (I6)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const writer = await rig.writer();
    const spares = rig.nodes.filter((node) => node !== writer);
    expect(spares).toHaveLength(1);
    for (const node of spares) {
      expect(await node.isWriter()).toBe(false);
      expect(await node.isServing()).toBe(false);
      const votes = election.fresh(2);
      expect(outcomesOf(await rig.cast(votes, { node }))).toEqual(all(2, "LOST"));
      expect(await rig.rowsOf(election, votes)).toEqual([]);
    }
  });

  test("a writer killed between commit and answer: the spare gives the same vote its original receipt (I1, I2, I3)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const writer = await rig.writer();
    const holding = rig.holdVotes("commit-answer");
    const votes = election.fresh(2);
    const casting = rig.cast(votes);
    const held = await holding;
    const stored = await rig.rowsOf(election, votes);
    expect(stored).toHaveLength(2);
    await writer.kill("SIGKILL");
    held.cut();
    expect(outcomesOf(await casting)).toEqual(["LOST", "LOST"]);
    const again = await rig.cast(votes);
    expect(await rig.writer()).not.toBe(writer);
    expect(outcomesOf(again)).toEqual(["REPEAT", "REPEAT"]);
    expect(new Set(again.map(({ leaf }) => leaf))).toEqual(new Set(stored.map(({ leaf }) => leaf)));
    expect(outcomesOf(await rig.cast(votes.map(withoutKey)))).toEqual(all(2, "ALREADY_VOTED"));
    const other = votes.map((vote) => choosing(vote, vote.selections[0]?.optionIds[0] === "ada" ? "bob" : "ada"));
    expect(outcomesOf(await rig.cast(other))).toEqual(all(2, "ALREADY_VOTED"));
    await writer.start();
  });

  test("a writer frozen past its time and continued: the spare writes, the old one cannot commit and stands by (I6)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const [before, old] = [await rig.head(), await rig.writer()];
    const watching = endOf(old.client.watchCounts({ afterBatch: BigInt(before.batch) }));
    old.freeze();
    const votes = election.fresh(2);
    const late = rig.cast(votes, { node: old });
    await rig.untilEpoch(before.epoch + 1);
    const meanwhile = await rig.settle(election.fresh(2));
    expect(outcomesOf(meanwhile)).toEqual(all(2, "RECORDED"));
    expect(await rig.epochOf(meanwhile[0]?.batch ?? 0)).toBe(before.epoch + 1);
    await old.log.mark();
    old.thaw();
    for (const { outcome } of await late) expect(["UNKNOWN", "LOST"]).toContain(outcome);
    await old.log.until(/deposed/);
    expect(await watching).toBe("SHARD_UNAVAILABLE");
    expect(await rig.rowsOf(election, votes)).toEqual([]);
    expect(await rig.writer()).not.toBe(old);
    expect(await old.isWriter()).toBe(false);
    expect(outcomesOf(await rig.settle(votes))).toEqual(all(2, "RECORDED"));
    expect((await rig.head()).epoch).toBe(before.epoch + 1);
  });
}

/** Why a stream of the server ended. */
async function endOf(messages: AsyncIterable<unknown>): Promise<string> {
  try {
    for await (const _ of messages);
    return "ended";
  } catch (error) {
    return error instanceof Error && "reason" in error ? String(error.reason) : String(error);
  }
}

export function cancelledWaitStories(rigOf: RigOf): void {
  for (const end of ["pg_cancel_backend", "pg_terminate_backend"]) {
    test(`a wait for the standby ended by ${end} acknowledges nothing; once the standby has it, the vote is acknowledged once (I1, I4)`, async () => {
      const rig = rigOf();
      const election = await freshElection(rig);
      const before = await rig.head();
      await (await rig.writer()).log.mark();
      rig.standby.freeze();
      const votes = election.fresh(2);
      const settling = watched(rig.settle(votes));
      const backend = await rig.untilBackend("wait_event = 'SyncRep'");
      await rig.sql(`SELECT ${end}($1)`, [backend]);
      await (await rig.writer()).log.until(/the outcome of a commit is unknown/);
      expect(await rig.rowsOf(election, votes)).toHaveLength(2);
      expect(settling.isOver()).toBe(false);
      rig.standby.thaw();
      const answers = await settling.result;
      expect(answers.every(({ outcome }) => outcome === "RECORDED" || outcome === "REPEAT")).toBe(true);
      expect(await rig.epochOf(answers[0]?.batch ?? 0)).toBe(before.epoch);
      expect(await rig.rowsOf(election, votes)).toHaveLength(2);
    });
  }
}

export function refusedRowStories(rigOf: RigOf): void {
  test("a vote whose row a trigger refuses stands alone in the end: it is INTERNAL, the other 999 are recorded (I4)", async () => {
    const rig = rigOf();
    const election = await freshElection(rig);
    const votes = election.fresh(1_000);
    const poisoned = 637;
    await rig.sql(`CREATE OR REPLACE FUNCTION public.rig_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'this row is refused'; END $$`);
    const nullifier = election.nullifierOf(votes[poisoned] ?? election.vote(""));
    await rig.sql(`CREATE TRIGGER rig_refuse BEFORE INSERT ON ${await rig.votesTable(election.id)} FOR EACH ROW
      WHEN (NEW.nullifier = '${nullifier}') EXECUTE FUNCTION public.rig_refuse()`);
    await rig.primary.log.mark();
    const answers = await rig.cast(votes);
    expect(answers.map(({ outcome }, i) => (outcome === "RECORDED" ? -1 : i)).filter((i) => i >= 0)).toEqual([
      poisoned,
    ]);
    expect(answers[poisoned]?.outcome).toBe("INTERNAL");
    expect(await rig.primary.log.has(/this row is refused/)).toBe(true);
    expect(await rig.rowsOf(election, votes)).toHaveLength(999);
  });
}

export function commitPathStories(rigOf: RigOf): void {
  lostCommitStories(rigOf);
  frozenBackendStories(rigOf);
  cancelledWaitStories(rigOf);
  refusedRowStories(rigOf);
  deadWriterStories(rigOf);
}
