/** MeshService: how every shard node of the directory stands, asked at most twice a second however many watch. */
import { create } from "@bufbuild/protobuf";
import type { Directory } from "#mesh/directory.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import type { GetMeshStatusResponse, MeshService, ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { GetMeshStatusResponseSchema, ShardNodeStatusSchema } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { ShardLinks } from "./shard-links.ts";
import type { ShardNodes } from "./shard-nodes.ts";

const nodeLimitMs = 500;
const freshForMs = 500;

/** `troubles` says what the router does without; empty sentences are left out. */
export function meshService(
  links: ShardLinks,
  directory: Directory,
  troubles: () => readonly string[],
): ServiceImplementation<typeof MeshService> {
  let asked: { readonly atMs: number; readonly answer: Promise<GetMeshStatusResponse> } | undefined;
  return {
    async getMeshStatus() {
      const now = performance.now();
      if (asked === undefined || now - asked.atMs >= freshForMs) asked = { atMs: now, answer: ask(links, directory) };
      return { ...(await asked.answer), degraded: troubles().filter((trouble) => trouble !== "") };
    },
  };
}

async function ask(links: ShardLinks, directory: Directory): Promise<GetMeshStatusResponse> {
  const asked = links.allNodes.flatMap((nodes) => nodes.nodes.map((node) => askNode(nodes, node)));
  const nodes = await Promise.all(asked);
  return create(GetMeshStatusResponseSchema, { nodes, mapEpoch: BigInt(directory.current.map.epoch) });
}

async function askNode(nodes: ShardNodes, node: string): Promise<ShardNodeStatus> {
  const status = await nodes.status(node, nodeLimitMs);
  const { shardId } = nodes;
  return status ?? create(ShardNodeStatusSchema, { shardId, node, notReadyBecause: "unreachable" });
}
