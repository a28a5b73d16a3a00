import { type ConnectError, createClient as createWebClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { createClient } from "#mesh/grpc-client.ts";
import { HealthProbe } from "#mesh/health-probe.ts";
import { rejectionFromConnect } from "#mesh/rejection-status.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { MeshService, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { Harness } from "./router-harness.ts";
import { definition, startHarness, viewOf, vote } from "./router-harness.ts";
import { inTurn, recordAll } from "./scripted-shard.ts";

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof startHarness>[0] = {}): Promise<Harness> {
  const harness = await startHarness(options);
  closers.push(() => harness.close());
  return harness;
}

function jsonVote(voterId: string) {
  return { electionId: "e", voterId, regionId: "north/one", selections: [{ contestId: "mayor", optionIds: ["ada"] }] };
}

async function post(url: string, body: unknown) {
  const response = await fetch(`${url}/urna.v1.VoteService/CastVote`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, json: await response.json() };
}

test("a vote is cast with JSON over plain HTTP, and a refusal names its reason", async () => {
  const { connectUrl } = await start();
  const cast = await post(connectUrl, { vote: jsonVote("v1") });
  expect(cast).toMatchObject({ status: 200, json: { receipt: { receiptId: "0-0000-0", logOrigin: "test/shard/0" } } });
  const refused = await post(connectUrl, { vote: { ...jsonVote("v2"), regionId: "north" } });
  expect(refused).toMatchObject({ status: 400, json: { code: "invalid_argument" } });
  expect(refused.json.details[0].debug).toMatchObject({ reason: "INVALID_BALLOT", domain: "urna.v1" });
});

test("gRPC-Web serves the same implementation", async () => {
  const { connectUrl } = await start();
  const client = createWebClient(VoteService, createGrpcWebTransport({ baseUrl: connectUrl, httpVersion: "1.1" }));
  expect((await client.castVote({ vote: vote("v1") })).receipt?.electionId).toBe("e");
  const refused = await client.castVote({ vote: vote("with space") }).catch((cause: unknown) => cause);
  expect(rejectionFromConnect(refused as ConnectError)).toMatchObject({ reason: "INVALID_BALLOT" });
});

test("the web address answers at / also without a page", async () => {
  const { connectUrl } = await start();
  const page = await fetch(connectUrl);
  expect(page.status).toBe(200);
  expect(await page.text()).toContain("Urna");
});

test("health is true: what cannot be served is NOT_SERVING, and nothing is while the router drains", async () => {
  const harness = await start();
  const probe = new HealthProbe(`127.0.0.1:${harness.router.grpc.port}`);
  closers.push(async () => probe.close());
  for (const service of ["", VoteService.typeName, ElectionService.typeName, MeshService.typeName]) {
    await expect.poll(() => probe.isServing(service, 500)).toBe(true);
  }
  expect(await probe.isServing(TallyService.typeName, 500)).toBe(false);
  const [shard] = harness.shards;
  if (shard === undefined) throw new Error("one shard is expected");
  shard.role = ShardRole.SPARE;
  shard.breakStreams();
  await expect.poll(() => probe.isServing(VoteService.typeName, 500)).toBe(false);
  shard.role = ShardRole.WRITER;
  await expect.poll(() => probe.isServing(VoteService.typeName, 500)).toBe(true);
  shard.script = () => undefined;
  const held = harness.votes.castVote({ vote: vote("v1") }).catch(() => {});
  await expect.poll(() => harness.router.heldVotes()).toBe(1);
  const draining = harness.router.drain();
  expect(await probe.isServing(VoteService.typeName, 500)).toBe(false);
  await Promise.all([held, draining]);
});

test("the mesh's status names every node of the directory, reachable or not", async () => {
  const harness = await start();
  const client = createClient(MeshService, `127.0.0.1:${harness.router.grpc.port}`);
  closers.push(async () => client.close());
  const view = viewOf(harness.shards, 7);
  const [entry] = view.map.shards;
  if (entry === undefined) throw new Error("one shard is expected");
  const shards = [{ ...entry, nodes: [...entry.nodes, "127.0.0.1:1"] }];
  harness.directory.set({ ...view, map: { epoch: 7, shards } });
  const { nodes, mapEpoch } = await client.getMeshStatus({});
  expect(mapEpoch).toBe(7n);
  expect(nodes.map(({ role, notReadyBecause }) => [role, notReadyBecause])).toEqual([
    [ShardRole.WRITER, ""],
    [ShardRole.UNSPECIFIED, "unreachable"],
  ]);
});

test("metrics count votes by their outcome", async () => {
  const { votes, router } = await start();
  await votes.castVoteBatch({ votes: [vote("a"), vote("b"), { ...vote("c"), regionId: "west" }] });
  const text = await (await fetch(`http://127.0.0.1:${router.metrics.port}/metrics`)).text();
  expect(text).toContain('urna_router_votes_total{outcome="recorded"} 2');
  expect(text).toContain('urna_router_votes_total{outcome="INVALID_BALLOT"} 1');
  for (const name of ["waiting_votes", "frame_votes_bucket", "call_seconds_bucket", "connected_shards 1"]) {
    expect(text).toContain(`urna_router_${name}`);
  }
  expect(text).toContain("nodejs_eventloop_lag");
});

test("no log line holds a voter ID or a key, whatever goes wrong", async () => {
  const lines: string[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => void lines.push(line) });
  const { votes, shards } = await start({ log, election: definition() });
  const [shard] = shards;
  if (shard === undefined) throw new Error("one shard is expected");
  const key = Buffer.from("idempotency-key-of-the-voter");
  const breakOnce = () => {
    shard.breakStreams();
    return undefined;
  };
  const wrong = (frame: Parameters<typeof recordAll>[0]) => ({ ...frame, frameId: 99n }) as never;
  shard.script = inTurn(breakOnce, wrong, recordAll);
  await votes.castVote({ vote: vote("tell-tale-voter", key) });
  for (const bad of ["tell-tale voter", "tell-tale-\n"]) await votes.castVote({ vote: vote(bad, key) }).catch(() => {});
  await votes.castVote({ vote: { ...vote("tell-tale-voter", key), electionId: "none" } }).catch(() => {});
  shard.script = () => undefined;
  await votes.castVote({ vote: vote("tell-tale-voter", key) }, { deadlineMs: 150 }).catch(() => {});
  const all = lines.join("");
  expect(lines.length).toBeGreaterThan(2);
  for (const secret of ["tell-tale", key.toString(), key.toString("hex"), key.toString("base64")]) {
    expect(all).not.toContain(secret);
  }
});
