import { createHash, randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { slotCount } from "#proto/limits.ts";
import { slotOf } from "#proto/slots.ts";
import { makeWrappedKey, unwrapKey } from "./election-key.ts";
import type { Harness } from "./router-harness.ts";
import { asAdmin, definition, electionId, startHarness } from "./router-harness.ts";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof startHarness>[0] = {}): Promise<Harness> {
  const harness = await startHarness(options);
  closers.push(() => harness.close());
  return harness;
}

test("an election is answered with where each shard stands", async () => {
  const { elections } = await start({ shardCount: 3 });
  const { election } = await elections.getElection({ electionId });
  expect(election?.state).toBe(ElectionState.OPEN);
  expect(election?.shards.map(({ shardId, state }) => [shardId, state])).toEqual([
    [0, ElectionState.OPEN],
    [1, ElectionState.OPEN],
    [2, ElectionState.OPEN],
  ]);
  const { elections: listed } = await elections.listElections({});
  expect(listed.every(({ definition: d }) => d?.electionId === electionId && d.regions.length === 0)).toBe(true);
});

test("the same definition again answers the election that exists, another is refused", async () => {
  const { elections } = await start();
  const again = await elections.createElection({ definition: definition() }, asAdmin);
  expect(again.election?.state).toBe(ElectionState.OPEN);
  const other = elections.createElection({ definition: definition({ title: "Another" }) }, asAdmin);
  await expect(other).rejects.toMatchObject({ reason: "ELECTION_EXISTS" });
});

const wrongTokens = [undefined, "", "Bearer", "Bearer wrong", "Basic test-admin-token", "test-admin-token"];

for (const authorization of wrongTokens) {
  test(`changes with "${authorization}" instead of the admin token are denied`, async () => {
    const { elections, shards } = await start();
    const options = authorization === undefined ? {} : { headers: { authorization } };
    await expect(elections.closeElection({ electionId }, options)).rejects.toMatchObject({
      reason: "PERMISSION_DENIED",
    });
    expect(shards[0]?.homes.get(electionId)?.wantedState).toBe(ElectionState.OPEN);
  });
}

test("a definition that is not valid is refused naming the fault", async () => {
  const { elections } = await start();
  const creating = elections.createElection({ definition: { ...definition(), contests: [] } }, asAdmin);
  await expect(creating).rejects.toMatchObject({ reason: "INVALID_ELECTION" });
  await expect(elections.createElection({}, asAdmin)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
});

test("a close that one shard cannot make in time says that it is recorded and will be finished", async () => {
  const { elections, shards } = await start({ shardCount: 2 });
  const homeSlot = slotOf(createHash("sha256").update(electionId).digest());
  const away = shards[homeSlot < slotCount / 2 ? 1 : 0];
  if (away === undefined) throw new Error("two shards are expected");
  away.role = ShardRole.SPARE;
  const failure = await elections
    .closeElection({ electionId }, { ...asAdmin, deadlineMs: 1_000 })
    .catch((e: unknown) => e);
  expect(failure).toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(String(failure)).toContain("recorded");
  expect(away.homes.get(electionId)?.wantedState).toBe(ElectionState.CLOSED);
  away.role = ShardRole.WRITER;
  const { election } = await elections.closeElection({ electionId }, asAdmin);
  expect(election?.shards.every(({ state }) => state === ElectionState.CLOSED)).toBe(true);
});

test("an election that does not exist is unknown to every call", async () => {
  const { elections } = await start();
  const unknown = { electionId: "nowhere" };
  await expect(elections.getElection(unknown)).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  await expect(elections.openElection(unknown, asAdmin)).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
});

test("a wrapped key opens only with the router key and the election that it was made for", () => {
  const routerKey = randomBytes(32);
  const wrapped = makeWrappedKey(routerKey, "e");
  expect(unwrapKey(routerKey, "e", wrapped)).toHaveLength(32);
  expect(() => unwrapKey(randomBytes(32), "e", wrapped)).toThrow();
  expect(() => unwrapKey(routerKey, "f", wrapped)).toThrow();
  expect(() => unwrapKey(routerKey, "e", wrapped.subarray(1))).toThrow();
});
