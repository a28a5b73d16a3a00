/** A whole mesh, as `npm start -- --mesh` starts it: what operators see of it, and what it does while Consul is away. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Story } from "#bench/cluster-story.ts";
import type { ConsulCluster } from "#deploy/consul-cluster.ts";
import { findConsul } from "#deploy/go-tool.ts";
import { findRedis } from "#deploy/redis-binary.ts";
import { toolSkipReason } from "#deploy/tool-requirement.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { ConsulApi } from "#mesh/consul/consul-api.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";

const missing = await toolSkipReason("a whole mesh", findConsul, findRedis);
const electionId = "mesh";
const limitMs = 40_000;

type Check = { readonly CheckID: string; readonly Status: string; readonly Output: string };

describe.skipIf(missing !== undefined)("a mesh", () => {
  let story: Story;
  let consul: ConsulCluster;
  let api: ConsulApi;
  let mesh: Client<typeof MeshService>;

  beforeAll(async () => {
    story = await Story.start({ shards: 2, routers: 2, spares: 0, mesh: { consulServers: 1 } });
    const parts = story.cluster.mesh;
    if (parts === undefined) throw new Error("a cluster without a mesh");
    consul = parts.consul;
    // What the read-only token of the UI shows.
    api = consul.api(consul.secrets.token("viewer"));
    mesh = createClient(MeshService, story.routers[0] ?? "", story.cluster.identity);
    await story.election(electionId);
  });

  afterAll(async () => {
    api?.close();
    mesh?.close();
    await story?.[Symbol.asyncDispose]();
  });

  /** "passing shard 0: writing, batch …", by the id of the service; empty while Consul does not answer. */
  async function statusLines(): Promise<Map<string, string>> {
    const checks = (await api.get("/health/state/any").catch(() => [])) as Check[];
    return new Map(
      checks
        .filter(({ CheckID }) => CheckID.startsWith("status:"))
        .map(({ CheckID, Status, Output }) => [CheckID.slice("status:".length), `${Status} ${Output}`]),
    );
  }

  async function untilLine(id: string, line: RegExp): Promise<void> {
    let seen: string | undefined;
    const ask = async () => {
      seen = (await statusLines()).get(id);
      return seen !== undefined && line.test(seen) ? true : undefined;
    };
    await waitFor(`${id} to say ${line}`, limitMs, ask, 200).catch((error: unknown) => {
      throw new Error(`${error}; it says: ${seen}`);
    });
  }

  const wellLines = {
    "router-0": /^passing router: 2 of 2 shards reached, [\d,]+ votes held, map epoch 1$/,
    "router-1": /^passing router: 2 of 2 shards reached/,
    tally: /^passing tally: 2 of 2 shards read to their end, [\d,]+ watchers$/,
    "shard-0-a":
      /^passing shard 0: writing, batch [\d,]+, standby in sync [\d,]+ B behind, [\d,]+ votes waiting, commit p99 [\d,]+ ms$/,
    "shard-1-a": /^passing shard 1: writing/,
    "shard-0-primary": /^passing shard 0 primary: synchronous standby shard_0_standby/,
    "shard-0-standby": /^passing shard 0 standby: streaming/,
    "shard-1-primary": /^passing shard 1 primary/,
    "shard-1-standby": /^passing shard 1 standby/,
  };

  async function untilAllWell(): Promise<void> {
    for (const [id, line] of Object.entries(wellLines)) await untilLine(id, line);
    expect((await statusLines()).size).toBe(Object.keys(wellLines).length);
  }

  test("every part is in the registry, with a line that an operator can act on", async () => {
    await story.cast(electionId, 50);
    await untilAllWell();
    await story.expectTally(electionId);
  });

  test("a shard whose standby is missing is critical and says so, until the standby is back (I1)", {
    timeout: 100_000,
  }, async () => {
    await story.cluster.stopProcess("shard-0-standby");
    await untilLine("shard-0-a", /^critical shard 0: no synchronous standby/);
    await untilLine("shard-0-primary", /^critical shard 0 primary: no synchronous standby/);
    await untilLine("shard-0-standby", /^critical shard 0 standby: does not answer/);
    await story.cluster.startProcess("shard-0-standby");
    await story.healed();
    await untilAllWell();
  });

  test("Consul away: votes go on, a router starts from what it has seen; Consul back, and wiped: all is there again (I6)", {
    timeout: 120_000,
  }, async () => {
    await using storm = story.storm(electionId);
    await storm.untilMore(100);
    await consul.stop();
    await storm.untilMore(100);
    await waitFor("router-0 to say what it does without", limitMs, async () => {
      const { degraded } = await mesh.getMeshStatus({}, { deadlineMs: 5_000 });
      return degraded.some((because) => /Consul does not answer since/.test(because)) ? true : undefined;
    });
    // It has nobody to ask but its own file.
    await story.kill("router-1");
    await story.caster.castUntilSettled(story.votes(electionId, 20), { router: 1 });
    await storm.untilMore(100);
    await consul.wipe();
    await untilAllWell();
    await storm.untilMore(100);
    await storm.stop();
    expect((await mesh.getMeshStatus({}, { deadlineMs: 5_000 })).degraded).toEqual([]);
    expect([...storm.refused.keys()]).toEqual([]);
    const map = await api.get("/kv/urna/map?raw");
    expect(map).toMatchObject({ epoch: 1, shards: [{ id: 0 }, { id: 1 }] });
    await story.expectTally(electionId);
    expect(await story.check()).toEqual([]);
  });
});
