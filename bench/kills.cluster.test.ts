/** What a whole cluster keeps of its promises while its processes are killed, stopped and overloaded. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import { FrameWitness } from "#bench/frame-witness.ts";
import { receiptOutcome, wireVote } from "#bench/story-caster.ts";
import { idAtHome, storyDefinition } from "#bench/story-election.ts";
import { snapshotOrNothing } from "#bench/story-tally.ts";
import type { SentVote, ToldOutcome } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { CallError } from "#mesh/call-error.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { RejectionError } from "#proto/rejections.ts";

let story: Story;

beforeAll(async () => {
  story = await Story.start({ shards: 2, routers: 2, spares: 0 });
});

afterAll(() => story?.[Symbol.asyncDispose]());

const unknownIn = (electionId: string) =>
  story.ledger.entries.filter(({ vote, outcome }) => vote.electionId === electionId && outcome.kind === "unknown")
    .length;

test("routers killed in the middle of batches: clients go on at the other one, nothing is lost or doubled (I1, I2, I4)", async () => {
  const electionId = "routers-die";
  await story.election(electionId);
  await using storm = story.storm(electionId, { workers: 6 });
  for (const router of ["router-0", "router-1"]) {
    await storm.untilMore(200);
    const before = unknownIn(electionId);
    await story.kill(router);
    await storm.untilMore(200);
    // Calls were under way on it (A10).
    expect(unknownIn(electionId)).toBeGreaterThan(before);
  }
  await storm.stop();
  expect([...storm.refused.keys()]).toEqual([]);
  await story.expectTally(electionId);
  expect(await story.check()).toEqual([]);
});

test("the tally killed: another incarnation comes to exactly the same counts, and no count falls for who watches (I5, I7)", async () => {
  const electionId = "tally-dies";
  await story.election(electionId);
  await using storm = story.storm(electionId, { workers: 2 });
  const witness = new FrameWitness(story.routers, electionId, () => storm.sent);
  await storm.untilMore(200);
  await waitFor("frames", 20_000, () => (witness.rule.frames > 1 ? true : undefined));
  const before = await waitFor("a tally", 20_000, () => snapshotOrNothing(story.talliesAt(0), electionId));
  await story.kill("tally");
  await storm.untilMore(200);
  const seen = witness.rule.frames;
  await waitFor("frames of the next incarnation", 30_000, () => (witness.rule.frames > seen + 1 ? true : undefined));
  await storm.stop();
  const atRest = await story.expectTally(electionId);
  await story.kill("tally");
  const again = await story.expectTally(electionId);
  const rule = await witness.stop();

  const incarnations = [before, atRest, again].map(({ cut }) => cut.frame?.incarnation ?? 0n);
  expect(new Set(incarnations).size).toBe(3);
  expect(rule.faults).toEqual([]);
  expect({ ...again, cut: undefined }).toEqual({ ...atRest, cut: undefined });
  expect(await story.check()).toEqual([]);
});

describe("SIGTERM in the middle of a storm", () => {
  /** Ends the process in order; answers how long it took. */
  async function terminate(name: string): Promise<number> {
    const pid = story.cluster.pid(name);
    const fromMs = performance.now();
    await story.cluster.kill(name, "SIGTERM");
    await story.cluster.untilRestarted(name, pid);
    const ended = story.said.find(({ atMs, line }) => atMs >= fromMs && line.startsWith(`${name} ended (`));
    expect(ended?.line).toMatch(/ended \(exit code 0\)/);
    story.witness(`the end of ${name}`, ended !== undefined);
    return (ended?.atMs ?? Number.POSITIVE_INFINITY) - fromMs;
  }

  /** Rejects when the call ends without one of our outcomes. */
  async function castStrictly(router: number, vote: SentVote): Promise<ToldOutcome> {
    const told = await story.caster
      .client(router)
      .castVote({ vote: wireVote(vote) }, { deadlineMs: 30_000 })
      .then(({ receipt, repeat }) => receiptOutcome(receipt, repeat));
    story.ledger.note(vote, told);
    return told;
  }

  async function votesUnderWay(router: number): Promise<number> {
    const text = await (await fetch(story.cluster.endpoints.routers[router]?.metrics ?? "")).text();
    const gauges = [...text.matchAll(/^urna_router_(?:waiting|outstanding)_votes (\d+)$/gm)];
    return gauges.reduce((sum, [, votes]) => sum + Number(votes), 0);
  }

  const drains = [
    { when: "while it drains", outcome: "recorded" },
    { when: "after it has ended", outcome: "OUTCOME_UNKNOWN" },
  ];
  test.each(drains)(
    "a router ends with exit code 0 within 10 s; commits that return $when are $outcome, none is lost (I4)",
    async ({ outcome }) => {
      const electionId = `router-leaves-${outcome === "recorded" ? "settled" : "unsettled"}`;
      // The router may have been ended by the story before this one.
      await story.healed();
      await story.election(electionId);
      await using storm = story.storm(electionId);
      await storm.untilMore(100);
      const votes = story.votes(electionId, 200);
      // The router was ended by the story before this one, too: this client itself must have found it again.
      const [first] = story.votes(electionId, 1) as [SentVote];
      await waitFor("router-0 to answer this client", 20_000, async () =>
        "receipt" in (await story.caster.castOne(first, { router: 0, deadlineMs: 2_000 })) ? true : undefined,
      );
      const thaws = await Promise.all([0, 1].map((shard) => story.freezeStandby(shard)));
      // Also when an expectation fails: the stories after this one need standbys.
      using _thawed = {
        [Symbol.dispose]: () => {
          for (const thaw of thaws) thaw();
        },
      };
      const ended: string[] = [];
      const calls = votes.map((vote) =>
        castStrictly(0, vote)
          .then(
            ({ kind }) => kind,
            (error: unknown) => (error instanceof RejectionError ? error.reason : String(error)),
          )
          .finally(() => ended.push(vote.voterId)),
      );
      // They are in the router, and no commit can end (A10).
      await waitFor("all votes under way", 20_000, async () => {
        if (ended.length > 0) throw new Error(`a call ended too early: ${await Promise.race(calls)}`);
        return (await votesUnderWay(0)) >= 200 ? true : undefined;
      });
      const ending = terminate("router-0");
      if (outcome === "OUTCOME_UNKNOWN") await ending;
      for (const thaw of thaws) thaw();
      expect(await ending).toBeLessThan(10_000);
      const outcomes = new Set(await Promise.all(calls));
      expect(outcomes).toContain(outcome);
      // What was in no frame yet when the shard had stood still for two seconds was refused, and is stored nowhere.
      const refused = outcomes.delete("SHARD_UNAVAILABLE");
      expect([...outcomes]).toEqual([outcome]);
      await storm.untilMore(100);
      await storm.stop();
      const again = await story.caster.castUntilSettled(votes, { router: 1 });
      const expected = outcome === "recorded" && !refused ? ["repeat"] : ["recorded", "repeat"];
      for (const { kind } of again) expect(expected).toContain(kind);
      await story.expectTally(electionId);
    },
  );

  test("a writing shard node ends with exit code 0 within 10 s; its votes are settled by its successor (I1, I4, I6)", async () => {
    const electionId = "writer-leaves";
    await story.election(electionId);
    await using storm = story.storm(electionId);
    await storm.untilMore(100);
    expect(await terminate("shard-0-a")).toBeLessThan(10_000);
    await storm.untilMore(300);
    await storm.stop();
    expect([...storm.refused.keys()]).toEqual([]);
    await story.expectTally(electionId);
    expect(await story.check()).toEqual([]);
  });
});

describe("an election's change that is interrupted half way", () => {
  type Standing = { state: number; close_batch: string };
  const standing = async (shardId: number, electionId: string): Promise<Standing | undefined> =>
    (
      await story.sql<Standing>(shardId, "SELECT state, close_batch FROM urna.elections WHERE election_id = $1", [
        electionId,
      ])
    )[0];

  const failureOf = (call: Promise<unknown>) =>
    call.then(
      () => undefined,
      (error: unknown) => error,
    );

  test("creating: the router is killed while a shard is away; the shard finishes by itself when it is back", async () => {
    const electionId = idAtHome("half-created", 0);
    await story.cluster.stopProcess("shard-1-a");
    const definition = storyDefinition(electionId);
    const creating = failureOf(
      story.electionsAt(0).createElection({ definition }, { ...story.admin, deadlineMs: 20_000 }),
    );
    await waitFor("the home shard to have it", 15_000, () => standing(0, electionId));
    await story.kill("router-0");
    expect(await creating).toBeInstanceOf(CallError);
    expect(await standing(1, electionId)).toBeUndefined();

    // Where the home shard itself is away, nothing is recorded anywhere.
    const homeless = storyDefinition(idAtHome("homeless", 1));
    const refused = await failureOf(
      story.electionsAt(1).createElection({ definition: homeless }, { ...story.admin, deadlineMs: 2_000 }),
    );
    expect(refused).toBeInstanceOf(RejectionError);
    expect((refused as RejectionError).reason).toBe("SHARD_UNAVAILABLE");

    await story.cluster.startProcess("shard-1-a");
    await waitFor("shard 1 to have it", 20_000, () => standing(1, electionId));
    for (const shard of [0, 1]) expect(await standing(shard, homeless.electionId)).toBeUndefined();
    await story.healed();
    await story.electionsAt(1).openElection({ electionId }, story.admin);
    await story.cast(electionId, 50);
    await story.expectTally(electionId);
  });

  test("closing: refused as not finished; the shard that was away closes by itself, and its late votes are refused (I10)", async () => {
    const electionId = idAtHome("half-closed", 0);
    await story.election(electionId);
    await story.cast(electionId, 50);
    await story.cluster.stopProcess("shard-1-a");
    const refused = await failureOf(
      story.electionsAt(0).closeElection({ electionId }, { ...story.admin, deadlineMs: 3_000 }),
    );
    expect(refused).toBeInstanceOf(RejectionError);
    expect(refused).toMatchObject({ reason: "SHARD_UNAVAILABLE", message: expect.stringContaining("shard 1") });
    await story.kill("router-0");
    expect((await standing(0, electionId))?.state).toBe(ElectionState.CLOSED);
    expect((await standing(1, electionId))?.state).toBe(ElectionState.OPEN);

    await story.cluster.startProcess("shard-1-a");
    await waitFor("shard 1 to close it", 20_000, async () =>
      (await standing(1, electionId))?.state === ElectionState.CLOSED ? true : undefined,
    );
    await story.healed();
    const late = await story.caster.castUntilSettled(story.votes(electionId, 50), { router: 1 });
    expect(new Set(late.map((told) => (told.kind === "refused" ? told.reason : told.kind)))).toEqual(
      new Set(["ELECTION_CLOSED"]),
    );
    await story.expectTally(electionId, { final: true });
  });

  test("two definitions of one id at once through both routers: exactly one wins, everywhere", async () => {
    const ids = Array.from({ length: 6 }, (_, n) => idAtHome(`contended-${n}`, (n % 2) as 0 | 1));
    const winners = await Promise.all(
      ids.map(async (electionId) => {
        const calls = [0, 1].map((router) => {
          const definition = storyDefinition(electionId, { title: `Of router ${router}` });
          return story.electionsAt(router).createElection({ definition }, { ...story.admin, deadlineMs: 20_000 });
        });
        const [first, second] = await Promise.allSettled(calls);
        const winner = first?.status === "fulfilled" ? first : second;
        const loser = first?.status === "fulfilled" ? second : first;
        if (winner?.status !== "fulfilled" || loser?.status !== "rejected") throw new Error("not exactly one won");
        expect(loser.reason).toMatchObject({ reason: "ELECTION_EXISTS" });
        return { electionId, hash: Buffer.from(winner.value.election?.definitionHash ?? []).toString("hex") };
      }),
    );
    for (const { electionId, hash } of winners) {
      for (const shard of [0, 1]) {
        const query = "SELECT encode(definition_hash, 'hex') AS hash FROM urna.elections WHERE election_id = $1";
        expect(await story.sql(shard, query, [electionId])).toEqual([{ hash }]);
      }
    }
  });
});

describe("limits", () => {
  /** Sends single votes while no commit can end; answers what was refused, and how long that took at most. */
  async function flood(router: number, votes: readonly SentVote[]) {
    const thaws = await Promise.all([0, 1].map((shard) => story.freezeStandby(shard)));
    const refusals: { error: RejectionError; tookMs: number }[] = [];
    let pending = votes.length;
    const client = story.caster.client(router);
    const calls = votes.map(async (vote) => {
      const fromMs = performance.now();
      try {
        const { receipt } = await client.castVote({ vote: wireVote(vote) }, { deadlineMs: 40_000 });
        expect(receipt?.receiptId).not.toBe("");
      } catch (error) {
        if (!(error instanceof RejectionError)) throw error;
        refusals.push({ error, tookMs: performance.now() - fromMs });
      } finally {
        pending--;
      }
    });
    try {
      await waitFor("a refusal", 20_000, () => (refusals.length > 0 ? true : undefined));
      // They wait for their commit while others are refused: refusal came before collapse (A10).
      expect(pending).toBeGreaterThan(0);
    } finally {
      for (const thaw of thaws) thaw();
    }
    await Promise.all(calls);
    return refusals;
  }

  async function expectBounded(electionId: string, router: number, n: number): Promise<void> {
    const votes = story.votes(electionId, n);
    const refusals = await flood(router, votes);
    expect(refusals.length).toBeLessThan(votes.length);
    expect(refusals.map(({ error }) => error.reason)).toContain("OVERLOADED");
    for (const { error, tookMs } of refusals) {
      // On a slow machine the frozen shards are taken out of service before all votes have come.
      expect(["OVERLOADED", "SHARD_UNAVAILABLE"]).toContain(error.reason);
      expect(error.retryAfterMs).toBeGreaterThan(0);
      // At once, however busy the machine is with others: the votes' own time is 40 s.
      expect(tookMs).toBeLessThan(15_000);
    }
    await story.healed();
    for (let at = 0; at < n; at += 100) {
      const told = await story.caster.castUntilSettled(votes.slice(at, at + 100), { router });
      expect(told.filter(({ kind }) => kind === "refused")).toEqual([]);
    }
    await story.expectTally(electionId);
  }

  test("a full shard node answers OVERLOADED at once with RetryInfo, keeps what it holds, and recovers (I4, I9)", async () => {
    const electionId = "shard-full";
    await story.restartWith("shard-1-a", { URNA_WAITING_VOTES_MAX: "100", URNA_BATCH_VOTES_MAX: "50" });
    await story.election(electionId);
    await expectBounded(electionId, 0, 900);
  });

  test("a full router answers OVERLOADED at once with RetryInfo, keeps what it holds, and recovers (I4, I9)", async () => {
    const electionId = "router-full";
    await story.restartWith("router-1", { URNA_WAITING_VOTES_MAX: "1000" });
    await story.election(electionId);
    await expectBounded(electionId, 1, 2_000);
  });
});

test("after all these stories the independent checker finds nothing wrong (I1, I2, I3, I4, I5, I10)", async () => {
  expect(await story.check()).toEqual([]);
});
