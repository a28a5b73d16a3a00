/** Whether the map that everybody follows is what the shards have, and what the routers use. */
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { MeshService, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { MapSource } from "./map-source.ts";

const askMsMax = 2_000;

/** What each answers; undefined where it does not. */
export type AskedNode = {
  readonly shardId: number;
  readonly address: string;
  readonly status: ShardNodeStatus | undefined;
};
export type AskedRouter = { readonly address: string; readonly mapEpoch: number | undefined };

export async function askNodes({ nodes }: MapSource, identity: Identity | undefined): Promise<AskedNode[]> {
  return await Promise.all(
    nodes.map(async ({ shardId, address }) => {
      const client = createClient(ShardService, address, identity);
      try {
        return { shardId, address, status: (await client.getShardStatus({}, { deadlineMs: askMsMax })).status };
      } catch {
        return { shardId, address, status: undefined };
      } finally {
        client.close();
      }
    }),
  );
}

export async function askRouters({ routers }: MapSource, identity: Identity | undefined): Promise<AskedRouter[]> {
  return await Promise.all(
    routers.map(async (address) => {
      const client = createClient(MeshService, address, identity);
      try {
        return { address, mapEpoch: Number((await client.getMeshStatus({}, { deadlineMs: askMsMax })).mapEpoch) };
      } catch {
        return { address, mapEpoch: undefined };
      } finally {
        client.close();
      }
    }),
  );
}

/** One sentence a difference; none when all is as it should be. */
export function mapDifferences(
  { name, map, problem }: MapSource,
  nodes: readonly AskedNode[],
  routers: readonly AskedRouter[],
): string[] {
  if (map === undefined) return [`${name}: ${problem}`];
  const unknown = new Set(nodes.map(({ shardId }) => shardId));
  for (const { shardId } of map.shards) unknown.delete(shardId);
  return [
    ...map.shards.flatMap((shard) => shardDifferences(shard, map.epoch, nodes)),
    ...[...unknown].map((shardId) => `shard ${shardId} has nodes, and is not in the map`),
    ...routers.flatMap(({ address, mapEpoch }) => {
      if (mapEpoch === undefined) return [`router ${address} does not answer`];
      return mapEpoch === map.epoch
        ? []
        : [`router ${address} follows epoch ${mapEpoch}, the map is epoch ${map.epoch}`];
    }),
  ];
}

type MapShard = { readonly shardId: number; readonly slots: readonly (readonly [number, number])[] };

function shardDifferences({ shardId, slots }: MapShard, epoch: number, nodes: readonly AskedNode[]): string[] {
  const writers = nodes.flatMap((node) =>
    node.shardId === shardId && node.status?.role === ShardRole.WRITER ? [node.status] : [],
  );
  const [writer] = writers;
  if (writer === undefined) return [`shard ${shardId}: no writer answers, so nobody can say what it owns`];
  const differences: string[] = [];
  if (writer.shardId !== shardId)
    differences.push(`${writer.node} is registered for shard ${shardId} and has ${writer.shardId}`);
  const has = Number(writer.mapEpoch);
  if (has !== epoch) differences.push(`shard ${shardId} is at epoch ${has}, the map is epoch ${epoch}`);
  const owned = rangesText(writer.slots.map(({ first, last }) => [first, last]));
  const given = rangesText(slots);
  if (owned !== given)
    differences.push(`shard ${shardId} owns ${owned || "no slots"}, the map gives it ${given || "none"}`);
  return differences;
}

/** "0-8191, 9000-9005": in order, and touching ranges as one. */
export function rangesText(ranges: readonly (readonly [number, number])[]): string {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before !== undefined && before[1] + 1 === first) before[1] = last;
    else merged.push([first, last]);
  }
  return merged.map(([first, last]) => `${first}-${last}`).join(", ");
}
