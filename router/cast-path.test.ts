import { createHash, randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { HealthProbe } from "#mesh/health-probe.ts";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { Harness } from "./router-harness.ts";
import { definition, electionId, named, shardOf, startHarness, viewOf, vote } from "./router-harness.ts";
import { answerAll, answerEach, inTurn, recordAll, ScriptedShard } from "./scripted-shard.ts";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof startHarness>[0] = {}): Promise<Harness> {
  const harness = await startHarness(options);
  closers.push(() => harness.close());
  return harness;
}

const noAnswer = () => undefined;

test("a vote is acknowledged with the receipt of its place in its shard's log", async () => {
  const { votes } = await start();
  const { receipt, repeat } = await votes.castVote({ vote: vote("v1") });
  expect(receipt).toMatchObject({ electionId, logOrigin: "test/shard/0", leafIndex: 0n, receiptId: "0-0000-0" });
  expect(repeat).toBe(false);
});

test("a vote is acknowledged also by a log that went on after a loss", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  const logOrigin = "test/shard/0/2";
  shard.script = (frame) => ({ ...answerAll(frame, shard, RecordOutcome.RECORDED), logOrigin });
  expect((await harness.votes.castVote({ vote: vote("v1") })).receipt).toMatchObject({ logOrigin, leafIndex: 0n });
});

test("a shard sees a nullifier and a key hash, never the voter or the key", async () => {
  const harness = await start();
  const key = randomBytes(20);
  await harness.votes.castVote({ vote: vote("some-voter", key) });
  await harness.votes.castVote({ vote: vote("other-voter", new Uint8Array()) });
  const [first, second] = shardOf(harness).frames;
  expect(first?.nullifiers.length).toBe(16);
  expect(Buffer.from(first?.keyHashes ?? []).equals(createHash("sha256").update(key).digest().subarray(0, 16))).toBe(
    true,
  );
  expect(Buffer.from(second?.keyHashes ?? []).equals(Buffer.alloc(16))).toBe(true);
  expect(first).toMatchObject({ electionId, regions: [0], ballotLengths: [2], mapEpoch: 1n });
  expect(JSON.stringify(first?.ballots)).not.toContain("some-voter");
});

test("a batch has one outcome a vote, in the order of the votes, over all shards (I4)", async () => {
  const harness = await start({ shardCount: 3 });
  const outcomes = [RecordOutcome.RECORDED, RecordOutcome.REPEAT, RecordOutcome.ALREADY_VOTED];
  for (const shard of harness.shards) {
    shard.script = (frame) => answerEach(frame, shard, () => outcomes[shard.shardId] ?? RecordOutcome.INTERNAL);
  }
  const batch = Array.from({ length: 1_000 }, (_, i) => vote(`v${i}`));
  batch[500] = { ...vote("v500"), regionId: "nowhere" };
  const response = await harness.votes.castVoteBatch({ votes: batch });
  const names = response.outcomes.map(named);
  expect(names).toHaveLength(1_000);
  expect(names[500]).toBe("INVALID_BALLOT");
  expect(new Set(names)).toEqual(new Set(["recorded", "repeat", "ALREADY_VOTED", "INVALID_BALLOT"]));
  expect(harness.router.heldVotes()).toBe(0);
});

test("votes of one call to one shard keep their order", async () => {
  const harness = await start();
  const { votes, shards } = harness;
  await votes.castVoteBatch({ votes: [vote("a"), vote("b"), vote("c")] });
  for (const voter of ["a", "b", "c"]) await votes.castVote({ vote: vote(voter) });
  const [batch, ...singles] = (shards[0]?.frames ?? []).map(({ nullifiers }) =>
    Buffer.from(nullifiers).toString("hex"),
  );
  expect(batch).toBe(singles.join(""));
});

test("a batch of no votes and one of 1,001 are refused whole", async () => {
  const { votes } = await start();
  await expect(votes.castVoteBatch({ votes: [] })).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  const tooMany = Array.from({ length: 1_001 }, (_, i) => vote(`v${i}`));
  await expect(votes.castVoteBatch({ votes: tooMany })).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
});

test("an election that nobody created is unknown, and is found once it is created", async () => {
  const harness = await start();
  const other = { ...vote("v"), electionId: "other" };
  await expect(harness.votes.castVote({ vote: other })).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  const record = shardOf(harness).homes.get(electionId);
  expect(record).toBeDefined();
});

test("a vote whose stream broke is sent again and acknowledged once (I4)", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  shard.script = inTurn((_frame, { breakStreams }) => {
    breakStreams.call(shard);
    return undefined;
  }, recordAll);
  const { repeat } = await harness.votes.castVote({ vote: vote("v1") });
  expect(repeat).toBe(false);
  expect(shard.frames).toHaveLength(2);
  expect(shard.frames[1]?.nullifiers).toEqual(shard.frames[0]?.nullifiers);
});

test("a resent vote that its shard has stored already counts as recorded, not as a repeat", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  await harness.votes.castVote({ vote: vote("v0") });
  shard.script = inTurn(breakStream(shard), (frame) => answerAll(frame, shard, RecordOutcome.REPEAT));
  expect(await harness.votes.castVote({ vote: vote("v1") })).toMatchObject({ repeat: false });
});

test("a resent vote that was stored before this call is a repeat", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  await harness.votes.castVote({ vote: vote("v0") });
  shard.script = inTurn(breakStream(shard), (frame) => {
    const answer = answerAll(frame, shard, RecordOutcome.REPEAT);
    answer.batches = [1n];
    return answer;
  });
  expect(await harness.votes.castVote({ vote: vote("v1") })).toMatchObject({ repeat: true });
});

test("a resent vote without a key that has voted already is unknown: it may be its own", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  const alreadyVoted = (frame: Parameters<typeof recordAll>[0]) => answerAll(frame, shard, RecordOutcome.ALREADY_VOTED);
  shard.script = inTurn(breakStream(shard), alreadyVoted);
  const keyless = harness.votes.castVote({ vote: vote("v1", new Uint8Array()) });
  await expect(keyless).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN", retryAfterMs: 500 });
  const unsent = harness.votes.castVote({ vote: vote("v2", new Uint8Array()) });
  await expect(unsent).rejects.toMatchObject({ reason: "ALREADY_VOTED" });
});

for (const outcome of ["OVERLOADED", "DEADLINE_PASSED", "INTERNAL", "UNKNOWN_ELECTION"] as const) {
  test(`${outcome} is final for a first send and OUTCOME_UNKNOWN for a second`, async () => {
    const harness = await start();
    const shard = shardOf(harness);
    shard.script = (frame) => answerAll(frame, shard, RecordOutcome[outcome]);
    await expect(harness.votes.castVote({ vote: vote("v1") })).rejects.toMatchObject({ reason: outcome });
    shard.script = inTurn(breakStream(shard), shard.script);
    await expect(harness.votes.castVote({ vote: vote("v1") })).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
  });
}

for (const [outcome, reason] of [
  ["NOT_OPEN", "ELECTION_NOT_OPEN"],
  ["CLOSED", "ELECTION_CLOSED"],
] as const) {
  test(`${outcome} is final also for a second send: a shard looks for a repeat first (I3)`, async () => {
    const harness = await start();
    const shard = shardOf(harness);
    shard.script = inTurn(breakStream(shard), (frame) => answerAll(frame, shard, RecordOutcome[outcome]));
    await expect(harness.votes.castVote({ vote: vote("v1") })).rejects.toMatchObject({ reason });
  });
}

test("a vote whose outcome the shard does not know is sent again within its deadline", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  shard.script = inTurn((frame) => answerAll(frame, shard, RecordOutcome.UNKNOWN), recordAll);
  expect(await harness.votes.castVote({ vote: vote("v1") })).toMatchObject({ repeat: false });
  expect(shard.frames).toHaveLength(2);
});

test("a vote that was sent and never answered is unknown, in time before the caller's deadline", async () => {
  const harness = await start();
  shardOf(harness).script = noAnswer;
  const startedAt = performance.now();
  const cast = harness.votes.castVote({ vote: vote("v1") }, { deadlineMs: 1_000 });
  await expect(cast).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
  expect(performance.now() - startedAt).toBeLessThan(1_000);
});

test("a vote that could not be sent stored nothing", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  await harness.votes.castVote({ vote: vote("v0") });
  shard.role = ShardRole.SPARE;
  shard.breakStreams();
  const probe = new HealthProbe(`127.0.0.1:${harness.router.grpc.port}`);
  closers.push(async () => probe.close());
  await expect.poll(() => probe.isServing(VoteService.typeName, 500)).toBe(false);
  const cast = harness.votes.castVote({ vote: vote("v1") }, { deadlineMs: 1_000 });
  await expect(cast).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(shard.frames).toHaveLength(1);
  await expect.poll(() => harness.router.heldVotes()).toBe(0);
});

test("a batch is answered at its margin, vote by vote, while one shard is stuck", async () => {
  const harness = await start({ shardCount: 2 });
  shardOf(harness, 1).script = noAnswer;
  const batch = Array.from({ length: 100 }, (_, i) => vote(`v${i}`));
  const { outcomes } = await harness.votes.castVoteBatch({ votes: batch }, { deadlineMs: 1_000 });
  const names = outcomes.map(named);
  expect(names.filter((name) => name === "recorded").length).toBeGreaterThan(20);
  expect(names.filter((name) => name === "OUTCOME_UNKNOWN").length).toBeGreaterThan(20);
  expect(new Set(names).size).toBe(2);
});

test("a call that comes with less time than the margin stores nothing", async () => {
  const harness = await start();
  const cast = harness.votes.castVote({ vote: vote("v1") }, { deadlineMs: 15 });
  await expect(cast).rejects.toSatisfy(
    (error: { reason?: string; code?: string }) =>
      error.reason === "DEADLINE_PASSED" || error.code === "DEADLINE_EXCEEDED",
  );
  expect(shardOf(harness).frames).toHaveLength(0);
});

test("a shard that does not own the slot makes the router refresh its map and send the vote on, unseen", async () => {
  const harness = await start({ shardCount: 2 });
  const [first, second] = [shardOf(harness, 0), shardOf(harness, 1)];
  first.script = (frame) => answerAll(frame, first, RecordOutcome.WRONG_SHARD);
  harness.directory.onRefresh = () => {
    const { current } = harness.directory;
    if (current.map.epoch > 1) return;
    const [one, two] = viewOf([first, second], 2).map.shards;
    if (one === undefined || two === undefined) throw new Error("two shards are expected");
    const shards = [
      { ...one, slots: [] },
      { ...two, slots: [[0, 16_383] as const] },
    ];
    harness.directory.set({ ...current, map: { epoch: 2, shards } });
  };
  const batch = Array.from({ length: 50 }, (_, i) => vote(`v${i}`));
  const { outcomes } = await harness.votes.castVoteBatch({ votes: batch });
  expect(outcomes.every(({ result }) => result.case === "receipt" && result.value.logOrigin === "test/shard/1")).toBe(
    true,
  );
  expect(second.frames.some(({ mapEpoch }) => mapEpoch === 2n)).toBe(true);
});

test("a slot that nobody owns for long ends as SHARD_UNAVAILABLE, not as unknown", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  shard.script = (frame) => answerAll(frame, shard, RecordOutcome.WRONG_SHARD);
  const cast = harness.votes.castVote({ vote: vote("v1") }, { deadlineMs: 1_000 });
  await expect(cast).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(shard.frames.length).toBeGreaterThan(1);
  expect(shard.frames.length).toBeLessThan(20);
});

test("a vote checked against an outdated definition is refused as retryable, and the next one is checked anew", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  await harness.votes.castVote({ vote: vote("v1") });
  const home = shard.homes.get(electionId);
  if (home === undefined) throw new Error("the election has no home");
  const changed = definition({ title: "Another" });
  home.definition = changed;
  shard.script = (frame) => {
    const isNew = Buffer.from(frame.definitionHash).equals(Buffer.from(shard.frames[0]?.definitionHash ?? []));
    return answerAll(frame, shard, isNew ? RecordOutcome.WRONG_DEFINITION : RecordOutcome.RECORDED);
  };
  await expect(harness.votes.castVote({ vote: vote("v2") })).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(await harness.votes.castVote({ vote: vote("v2") })).toMatchObject({ repeat: false });
});

test("an answer that does not fit its frame ends the stream, and the votes are sent again (I4)", async () => {
  const harness = await start();
  const shard = shardOf(harness);
  shard.script = inTurn((frame) => {
    const answer = answerAll(frame, shard, RecordOutcome.RECORDED);
    answer.outcomes.push(RecordOutcome.RECORDED);
    return answer;
  }, recordAll);
  expect(await harness.votes.castVote({ vote: vote("v1") })).toMatchObject({ repeat: false });
  expect(shard.frames).toHaveLength(2);
});

test("a writer that answers nothing is left for the one that took over", async () => {
  const harness = await start({ limits: { patienceMs: 100 } });
  const frozen = shardOf(harness);
  frozen.script = noAnswer;
  const successor = await new ScriptedShard(0, frozen.homes).start();
  closers.push(() => successor.stop());
  successor.writerEpoch = 2n;
  const { current } = harness.directory;
  const [entry] = current.map.shards;
  if (entry === undefined) throw new Error("one shard is expected");
  const nodes = [frozen.address, successor.address];
  harness.directory.set({ ...current, map: { epoch: 1, shards: [{ ...entry, nodes }] } });
  await harness.votes.castVote({ vote: vote("v1") });
  expect(frozen.frames).toHaveLength(1);
  expect(successor.frames).toHaveLength(1);
});

test("a recorded vote's receipt is found again with its key", async () => {
  const { votes } = await start();
  const { voter, idempotencyKey } = vote("v1");
  const { receipt } = await votes.getReceipt({ electionId, voter, idempotencyKey });
  expect(receipt).toMatchObject({ electionId, leafIndex: 5n, logOrigin: "test/shard/0" });
  const short = votes.getReceipt({ electionId, voter, idempotencyKey: new Uint8Array(15) });
  await expect(short).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
});

function breakStream(shard: ScriptedShard) {
  return () => {
    shard.breakStreams();
    return undefined;
  };
}
