import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { FrameOrder } from "#proto/frame-order.ts";
import { ElectionDefinitionSchema } from "#proto/generated/urna/v1/election_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { waitMs } from "./backoff.ts";
import { buildWeb } from "./build.ts";
import type { Clients } from "./clients.ts";
import { openClients, rejectionReason } from "./clients.ts";
import type { WatchState } from "./tally-watch.ts";
import { watchTally } from "./tally-watch.ts";

const startLimitMs = 120_000;
const testLimitMs = 60_000;
const electionId = "town";
const webRoot = mkdtempSync(join(tmpdir(), "urna-page-"));
let cluster: EmbeddedCluster;
let clients: Clients;

beforeAll(async () => {
  await buildWeb(webRoot);
  cluster = await EmbeddedCluster.start({ shards: 1, routers: 1, spares: 0, webRoot });
  clients = openClients(cluster.endpoints.web);
  const town = await readFile(join(import.meta.dirname, "../docs/town.json"), "utf8");
  const headers = { authorization: `Bearer ${cluster.adminToken()}` };
  await clients.elections.createElection({ definition: fromJsonString(ElectionDefinitionSchema, town) }, { headers });
  await clients.elections.openElection({ electionId }, { headers });
}, startLimitMs);

afterAll(async () => {
  await cluster?.stop();
  rmSync(webRoot, { recursive: true, force: true });
}, startLimitMs);

async function cast(...voters: string[]): Promise<void> {
  const client = createClient(VoteService, cluster.endpoints.routers[0]?.grpc ?? "");
  try {
    for (const voter of voters) {
      const vote = { electionId, voter: { case: "voterId", value: voter } as const, regionId: "north/ward-1" };
      await client.castVote({ vote }, { deadlineMs: 10_000 });
    }
  } finally {
    client.close();
  }
}

test("a router serves the page, and everything that the page names", { timeout: testLimitMs }, async () => {
  const page = await (await fetch(cluster.endpoints.web)).text();
  const names = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name]) => name ?? "");
  expect(names).toContain("main.js");
  for (const name of names) {
    const response = await fetch(new URL(name, `${cluster.endpoints.web}/`));
    expect([name, response.status]).toEqual([name, 200]);
    await response.body?.cancel();
  }
});

test("the page's watch outlives the tally: it says so, goes on, and no count falls (I7)", {
  timeout: testLimitMs,
}, async () => {
  const seen: bigint[] = [];
  const states: WatchState["kind"][] = [];
  const stop = new AbortController();
  let onProgress = () => {};
  const watched = watchTally({
    open: (signal) => clients.tally.watchTally({ electionId, regionId: "north" }, { signal }),
    order: new FrameOrder(),
    onFrame({ region }) {
      seen.push(region?.ballots ?? 0n);
      onProgress();
    },
    onState(state) {
      if (states.at(-1) !== state.kind) states.push(state.kind);
      onProgress();
    },
    signal: stop.signal,
    wait: waitMs,
    random: Math.random,
  });
  const until = (reached: () => boolean) =>
    new Promise<void>((resolve) => {
      onProgress = () => {
        if (reached()) resolve();
      };
      onProgress();
    });
  await cast("v-1", "v-2");
  await until(() => seen.at(-1) === 2n);
  await cluster.kill("tally");
  await until(() => states.includes("broken"));
  await cast("v-3");
  await until(() => seen.at(-1) === 3n && states.at(-1) === "live");
  stop.abort();
  await watched;
  expect(seen).toEqual([...seen].sort((a, b) => Number(a - b)));
});

test("the page hears of a shard's writer, votes and standby, and reads refusals by their id", {
  timeout: testLimitMs,
}, async () => {
  const { nodes } = await clients.mesh.getMeshStatus({});
  expect(nodes).toMatchObject([{ shardId: 0, role: ShardRole.WRITER, notReadyBecause: "", standbyState: "sync" }]);
  const refusal = await clients.elections.getElection({ electionId: "nowhere" }).catch((cause: unknown) => cause);
  expect(rejectionReason(refusal)).toBe("UNKNOWN_ELECTION");
});
