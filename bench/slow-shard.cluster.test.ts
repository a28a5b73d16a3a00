/** One shard of a cluster stands still, then dies: the others' votes are recorded as before, and its own are refused soon (I4, I9). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import type { ToldOutcome } from "#bench/vote-ledger.ts";
import { waitFor } from "#deploy/wait-for.ts";

const shards = 3;
const electionId = "slow-shard";
/** Far more than a commit takes, far less than a vote's deadline. */
const soonMs = 6_000;

let story: Story;

beforeAll(async () => {
  story = await Story.start({ shards, routers: 1, spares: 0 });
  await story.election(electionId);
});

afterAll(() => story?.[Symbol.asyncDispose]());

async function breakers(): Promise<number[]> {
  const [router] = story.cluster.endpoints.routers;
  const text = await (await fetch(router?.metrics ?? "")).text();
  const states = [...text.matchAll(/^urna_router_shard_breaker_state\{shard="(\d)"\} (\d)$/gm)];
  return states.sort().map(([, , state]) => Number(state));
}

/** Outcomes of votes for all shards, and how long the batch took. */
async function castBatch(): Promise<{ told: ToldOutcome[]; tookMs: number }> {
  const fromMs = performance.now();
  const told = await story.caster.castBatch(story.votes(electionId, 60), { deadlineMs: 30_000 });
  return { told, tookMs: performance.now() - fromMs };
}

function recordedShards(told: readonly ToldOutcome[]): Set<string> {
  const origins = told.flatMap((outcome) => (outcome.kind === "recorded" ? [outcome.receipt.logOrigin] : []));
  return new Set(origins.map((origin) => origin.replace(/.*\/shard\//, "")));
}

/** What a shard that is out of service means for its own votes, and for nobody else's. */
async function expectOthersServed(): Promise<void> {
  await waitFor("the breaker of shard 0 to open", 30_000, async () => ((await breakers())[0] === 0 ? undefined : true));
  for (let turn = 0; turn < 5; turn++) {
    const { told, tookMs } = await castBatch();
    expect(tookMs).toBeLessThan(soonMs);
    expect(recordedShards(told)).toEqual(new Set(["1", "2"]));
    const refused = told.flatMap((outcome) => (outcome.kind === "refused" ? [outcome.reason] : []));
    expect(new Set(refused)).toEqual(new Set(["SHARD_UNAVAILABLE"]));
    expect(told.filter(({ kind }) => kind === "unknown")).toEqual([]);
  }
  expect((await breakers()).slice(1)).toEqual([0, 0]);
}

async function expectAllServed(): Promise<void> {
  await waitFor("all shards to be in service", 30_000, async () =>
    (await breakers()).every((state) => state === 0) ? true : undefined,
  );
  await story.cast(electionId, 60);
}

test("votes of the other shards are recorded while one is frozen or dead, and all are counted once in the end (I1, I2, I4)", async () => {
  await story.cast(electionId, 60);

  const thaw = await story.freezeStandby(0);
  const { told, tookMs } = await castBatch();
  // The first batch waits until the shard is taken out of service, not for its deadline of 30 s.
  expect(tookMs).toBeLessThan(20_000);
  expect(recordedShards(told)).toEqual(new Set(["1", "2"]));
  const hung = told.some(({ kind }) => kind === "unknown");
  expect(hung).toBe(true);
  story.witness("the frozen standby", hung);
  await expectOthersServed();
  thaw();
  await expectAllServed();

  await story.cluster.stopProcess("shard-0-a");
  await expectOthersServed();
  await story.cluster.startProcess("shard-0-a");
  await story.healed();
  await expectAllServed();

  const open = story.ledger.entries.filter(({ outcome }) => outcome.kind !== "recorded" && outcome.kind !== "repeat");
  await story.caster.castUntilSettled(open.map(({ vote }) => vote));
  await story.expectTally(electionId);
  expect(await story.check()).toEqual([]);
}, 180_000);
