/** What one shard takes and what it refuses: the close in a storm, frames that do not fit, queues that are full, rights. */
import { expect, test } from "vitest";
import { type Answer, castFrames } from "#bench/rig-cast.ts";
import { type RigElection, rigOptions, type VoteFrame, withoutKey } from "#bench/rig-election.ts";
import type { SettledVote, ShardRig } from "#bench/shard-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { slotCount } from "#proto/limits.ts";
import { all, outcomesOf, sharedRig } from "./shared-rig.ts";

const waitingVotesMax = 3_000;
const waitingBytesMax = 1_048_576;

const limits = {
  URNA_WAITING_VOTES_MAX: String(waitingVotesMax),
  URNA_WAITING_BYTES_MAX: String(waitingBytesMax),
};
const rigOf = sharedRig({ environment: limits }, "after-all");

/** Every recorded vote precedes the close batch, and is given its receipt again; whoever comes later is refused. */
async function expectClosed(
  rig: ShardRig,
  election: RigElection,
  settled: readonly SettledVote[],
  closeBatch: number,
): Promise<void> {
  const recorded = settled.filter(({ answer }) => answer.outcome === "RECORDED");
  expect(recorded.length).toBeGreaterThan(0);
  expect(Math.max(...recorded.map(({ answer }) => answer.batch))).toBeLessThan(closeBatch);
  const refused = settled.filter(({ answer }) => answer.outcome === "CLOSED");
  expect(refused.length).toBeGreaterThan(0);
  expect(recorded.length + refused.length).toBe(settled.length);
  const again: Answer[] = [];
  // A storm on a fast machine leaves more votes than may wait at once.
  for (let at = 0; at < recorded.length; at += 500) {
    again.push(...(await rig.cast(recorded.slice(at, at + 500).map(({ vote }) => vote))));
  }
  expect(again).toEqual(recorded.map(({ answer }) => ({ ...answer, outcome: "REPEAT" })));
  const keyless = await rig.cast(recorded.slice(0, 5).map(({ vote }) => withoutKey(vote)));
  expect(outcomesOf(keyless)).toEqual(all(5, "ALREADY_VOTED"));
  expect(outcomesOf(await rig.cast(election.fresh(5)))).toEqual(all(5, "CLOSED"));
}

test("closed in the middle of a storm: every recorded vote precedes the close batch, repeats get their receipts (I3, I10)", async () => {
  const rig = rigOf();
  const election = await rig.open("closed-in-a-storm");
  const storm = rig.storm(election);
  await storm.more(500);
  const closeBatch = await rig.close(election);
  await storm.until("votes refused", () => storm.settled.some(({ answer }) => answer.outcome === "CLOSED"));
  await expectClosed(rig, election, await storm.stop(), closeBatch);
});

test("an election closes by itself at closes_at, by a batch of its own and never before its time (I3, I10)", async () => {
  const rig = rigOf();
  const closesAtMs = Date.now() + 1_500;
  const election = await rig.open("closed-by-time", { closesAtMs });
  const storm = rig.storm(election);
  await storm.until("votes refused", () => storm.settled.some(({ answer }) => answer.outcome === "CLOSED"));
  const settled = await storm.stop();
  const [closed] = await rig.sql<{ batch: number; stamp: number; by: string }>(
    `SELECT close_batch::float8 AS batch, extract(epoch FROM stamp)::float8 * 1000 AS stamp, control::text AS by
     FROM urna.elections JOIN urna.batches ON batches.number = close_batch WHERE election_id = $1`,
    [election.id],
  );
  expect(closed?.stamp).toBeGreaterThanOrEqual(closesAtMs);
  expect(closed?.by).toContain("schedule");
  await expectClosed(rig, election, settled, closed?.batch ?? 0);
});

test("only votes of the shard's own slots are taken, vote by vote (I6)", async () => {
  const rig = rigOf();
  const election = await rig.open("slots");
  const last = slotCount / 2 - 1;
  const owning = async (slot: number) => {
    const { epoch } = await rig.head();
    await rig.sql("UPDATE urna.slots SET last_slot = $1", [slot]);
    // Ownership is read at each takeover.
    await rig.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'urna-writer'");
    // The node's own word: the head shows the new epoch before the node has read its slots, and health is told late.
    await waitFor("the writer to have taken over", 20_000, async () => {
      const status = await (await rig.writer()).status();
      return Number(status?.writerEpoch ?? 0) > epoch && status?.notReadyBecause === "" ? true : undefined;
    });
  };
  await owning(last);
  const votes = election.fresh(40);
  const expected = votes.map((vote) => (election.slotOf(vote) <= last ? "RECORDED" : "WRONG_SHARD"));
  expect(new Set(expected).size).toBe(2);
  expect(outcomesOf(await rig.cast(votes))).toEqual(expected);
  await owning(slotCount - 1);
  expect(outcomesOf(await rig.settle(votes))).toEqual(
    expected.map((outcome) => (outcome === "RECORDED" ? "REPEAT" : "RECORDED")),
  );
});

const misfits: Record<string, (frame: VoteFrame) => VoteFrame> = {
  "no votes at all": (frame) => ({ ...frame, regions: [], nullifiers: new Uint8Array() }),
  "a nullifier too few": (frame) => ({ ...frame, nullifiers: frame.nullifiers?.subarray(16) ?? new Uint8Array() }),
  "a key hash of 15 bytes": (frame) => ({ ...frame, keyHashes: frame.keyHashes?.subarray(1) ?? new Uint8Array() }),
  "ballots longer than their lengths": (frame) => ({ ...frame, ballots: Buffer.alloc(400) }),
  "a deadline too few": (frame) => ({ ...frame, deadlineMs: frame.deadlineMs?.slice(1) ?? [] }),
  "a length too few": (frame) => ({ ...frame, ballotLengths: frame.ballotLengths?.slice(1) ?? [] }),
};

for (const [what, spoil] of Object.entries(misfits)) {
  test(`a frame with ${what} ends its stream and stores nothing; other streams go on (I4)`, async () => {
    const rig = rigOf();
    const election = await openOnce(rig, "misfits");
    const { client } = await rig.writer();
    const votes = election.fresh(3);
    const [answers = []] = await castFrames(client, [spoil(election.frame(votes, 5_000))]);
    expect(answers.filter(({ outcome }) => outcome !== "LOST")).toEqual([]);
    expect(await rig.rowsOf(election, votes)).toEqual([]);
    expect(outcomesOf(await rig.cast(votes))).toEqual(all(3, "RECORDED"));
  });
}

const refusals: Record<string, { readonly outcome: string; readonly change: (frame: VoteFrame) => VoteFrame }> = {
  "another definition's hash": {
    outcome: "WRONG_DEFINITION",
    change: (frame) => ({ ...frame, definitionHash: Buffer.alloc(32, 1) }),
  },
  "an election nobody made": { outcome: "UNKNOWN_ELECTION", change: (frame) => ({ ...frame, electionId: "nobody" }) },
  "a deadline of 0": { outcome: "DEADLINE_PASSED", change: (frame) => ({ ...frame, deadlineMs: [0, 0, 0] }) },
  "a region that is none": { outcome: "INTERNAL", change: (frame) => ({ ...frame, regions: [99, 99, 99] }) },
  "ballots that are none": { outcome: "INTERNAL", change: (frame) => ({ ...frame, ballots: Buffer.alloc(6, 0xff) }) },
};

for (const [what, { outcome, change }] of Object.entries(refusals)) {
  test(`votes with ${what} are answered ${outcome} and not stored (I4)`, async () => {
    const rig = rigOf();
    const election = await openOnce(rig, "misfits");
    const { client } = await rig.writer();
    const votes = election.fresh(3);
    const [answers = []] = await castFrames(client, [change(election.frame(votes, 5_000))]);
    expect(outcomesOf(answers)).toEqual(all(3, outcome));
    expect(await rig.rowsOf(election, votes)).toEqual([]);
  });
}

test("votes beyond the limit in number are OVERLOADED at once; those that wait are recorded (I9)", async () => {
  const rig = rigOf();
  const election = await openOnce(rig, "limits");
  const holding = rig.holdVotes("commit");
  const inFlight = election.fresh(1);
  const first = rig.cast(inFlight);
  const held = await holding;
  const waiting = [1, 2, 3].map(() => rig.cast(election.fresh(waitingVotesMax / 3)));
  await rig.untilWaiting(waitingVotesMax);
  expect(outcomesOf(await rig.cast(election.fresh(1)))).toEqual(["OVERLOADED"]);
  expect(await rig.rowsOf(election, inFlight)).toEqual([]);
  held.release();
  expect(outcomesOf(await first)).toEqual(["RECORDED"]);
  for (const answers of waiting) expect(outcomesOf(await answers)).toEqual(all(waitingVotesMax / 3, "RECORDED"));
});

test("votes beyond the limit in bytes are OVERLOADED at once (I9)", async () => {
  const rig = rigOf();
  const election = await openOnce(rig, "limits");
  const { client } = await rig.writer();
  const frame = election.frame(election.fresh(2), 5_000);
  const huge = {
    ...frame,
    ballots: Buffer.alloc(waitingBytesMax),
    ballotLengths: [waitingBytesMax / 2, waitingBytesMax / 2],
  };
  const [answers = []] = await castFrames(client, [huge]);
  expect(outcomesOf(answers)).toEqual(all(2, "OVERLOADED"));
});

const tables = ["votes", "batches", "head", "elections", "home_elections", "slots", "count_snapshots", "migrations"];

for (const table of [...tables, "a partition of votes"]) {
  test(`the service's role can neither update, delete nor truncate ${table} (I8)`, async () => {
    const rig = rigOf();
    const election = await openOnce(rig, "misfits");
    const name = table.startsWith("a ") ? await rig.votesTable(election.id) : `urna.${table}`;
    const [{ column } = {}] = await rig.sql<{ column: string }>(
      "SELECT attname AS column FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1",
      [name],
    );
    for (const statement of [`UPDATE ${name} SET ${column} = ${column}`, `DELETE FROM ${name}`, `TRUNCATE ${name}`]) {
      await expect(rig.serviceSql(statement), statement).rejects.toThrow(/permission denied/);
    }
    await expect(rig.serviceSql(`DROP TABLE ${name}`)).rejects.toThrow(/must be owner/);
  });
}

const opened = new Map<string, Promise<RigElection>>();

function openOnce(rig: ShardRig, id: string): Promise<RigElection> {
  const election = opened.get(id) ?? rig.open(id);
  opened.set(id, election);
  return election;
}

test("the same voter many times in one frame is recorded once; echoes are repeats, other choices ALREADY_VOTED (I2, I3)", async () => {
  const rig = rigOf();
  const election = await openOnce(rig, "misfits");
  const [vote = election.vote("")] = election.fresh(1);
  const others = rigOptions.map((_, choice) => ({ ...election.vote(vote.voterId, choice) }));
  const answers = await rig.cast([vote, vote, ...others, vote, withoutKey(vote)]);
  expect(outcomesOf(answers)).toEqual(["RECORDED", "REPEAT", ...all(3, "ALREADY_VOTED"), "REPEAT", "ALREADY_VOTED"]);
  expect(new Set(answers.filter(({ batch }) => batch > 0).map(({ leaf }) => leaf)).size).toBe(1);
});
