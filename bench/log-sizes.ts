/** How many votes each shard's log holds, as the routers report it. */
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { MeshService, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";

const callLimitMs = 3_000;
const pauseMs = 200;

/**
 * By shard id. A shard whose writer does not answer within `limitMs` (default 10 s) is absent, and all are when no
 * router does.
 */
export async function readLogSizes(
  routers: readonly string[],
  identity?: Identity,
  limitMs = 10_000,
): Promise<Map<number, number>> {
  const writers = await readWriters(routers, identity, limitMs);
  return new Map([...writers].map(([shardId, { votes }]) => [shardId, Number(votes)]));
}

/** Of all shards together. */
export async function storedVotes(routers: readonly string[]): Promise<number> {
  return [...(await readLogSizes(routers)).values()].reduce((sum, votes) => sum + votes, 0);
}

/** The same, and all else that the routers say of each writer. */
export async function readWriters(
  routers: readonly string[],
  identity?: Identity,
  limitMs = 10_000,
): Promise<Map<number, ShardNodeStatus>> {
  const endMs = performance.now() + limitMs;
  for (let turn = 0; ; turn++) {
    const nodes = await readNodes(routers[turn % routers.length] ?? "", identity);
    const shards = new Set(nodes.map(({ shardId }) => shardId));
    const writers = nodes.filter(({ role, notReadyBecause }) => role === ShardRole.WRITER && notReadyBecause === "");
    const byShard = new Map(writers.map((writer) => [writer.shardId, writer]));
    if ((shards.size > 0 && byShard.size === shards.size) || performance.now() > endMs) return byShard;
    await delay(pauseMs);
  }
}

async function readNodes(router: string, identity: Identity | undefined): Promise<ShardNodeStatus[]> {
  const client = createClient(MeshService, router, identity);
  try {
    return (await client.getMeshStatus({}, { deadlineMs: callLimitMs })).nodes;
  } catch {
    // The next router may be up; the replay itself finds out whether any is.
    return [];
  } finally {
    client.close();
  }
}
