/** How the parts of a run stand, asked of each part itself, so that it can be told when the routers are away. */
import { create } from "@bufbuild/protobuf";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { MeshService, ShardNodeStatusSchema, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { Endpoints } from "./endpoints.ts";
import type { Health } from "./health-check.ts";
import { checkHealth } from "./health-check.ts";

export type ServerStatus = {
  readonly part: "router" | "tally";
  readonly grpc: string;
  /** Where browsers and JSON go, where it is known. */
  readonly connect: string | undefined;
  readonly health: Health;
  /** What a router does without for the moment, a sentence each. */
  readonly degraded: readonly string[];
};

export type StatusReport = {
  /** What the report was made from. */
  readonly source: string;
  readonly servers: readonly ServerStatus[];
  readonly nodes: readonly ShardNodeStatus[];
};

const askMsMax = 1_000;

/** Every part that endpoints.json names. */
export async function reportOfRun(endpoints: Endpoints, identity?: Identity): Promise<StatusReport> {
  const servers = [
    ...endpoints.routers.map((router) => serverStatus("router", router.grpc, router.connect, identity)),
    serverStatus("tally", endpoints.tally.grpc, endpoints.tally.connect, identity),
  ];
  const nodes = endpoints.shards.flatMap(({ id, nodes }) => nodes.map(({ grpc }) => nodeStatus(id, grpc, identity)));
  return { source: endpoints.file, servers: await Promise.all(servers), nodes: await Promise.all(nodes) };
}

/** What one router says of the mesh. */
export async function reportOfRouter(address: string, identity?: Identity): Promise<StatusReport> {
  const client = createClient(MeshService, address, identity);
  try {
    const { nodes, degraded } = await client.getMeshStatus({}, { deadlineMs: askMsMax * 2 });
    const health = await checkHealth(address, identity);
    return {
      source: address,
      servers: [{ part: "router", grpc: address, connect: undefined, health, degraded }],
      nodes,
    };
  } finally {
    client.close();
  }
}

/** Whether nothing at all answered. */
export function nothingAnswers({ servers, nodes }: StatusReport): boolean {
  return (
    servers.every(({ health }) => health === "unreachable") && nodes.every(({ role }) => role === ShardRole.UNSPECIFIED)
  );
}

async function serverStatus(
  part: ServerStatus["part"],
  grpc: string,
  connect: string | undefined,
  identity: Identity | undefined,
): Promise<ServerStatus> {
  const [health, degraded] = await Promise.all([
    checkHealth(grpc, identity),
    part === "router" ? degradedBecause(grpc, identity) : [],
  ]);
  return { part, grpc, connect, health, degraded };
}

/** Nothing of a router that does not answer: its health says so. */
async function degradedBecause(address: string, identity: Identity | undefined): Promise<readonly string[]> {
  const client = createClient(MeshService, address, identity);
  try {
    return (await client.getMeshStatus({}, { deadlineMs: askMsMax })).degraded;
  } catch {
    return [];
  } finally {
    client.close();
  }
}

async function nodeStatus(shardId: number, address: string, identity: Identity | undefined): Promise<ShardNodeStatus> {
  const client = createClient(ShardService, address, identity);
  const unreachable = create(ShardNodeStatusSchema, { shardId, node: address, notReadyBecause: "unreachable" });
  try {
    return (await client.getShardStatus({}, { deadlineMs: askMsMax })).status ?? unreachable;
  } catch {
    return unreachable;
  } finally {
    client.close();
  }
}
