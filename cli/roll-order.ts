/** In which order a cluster's processes are restarted, and what must be well again before the next one. */
import type { ListedProcess } from "#deploy/control-protocol.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { StatusReport } from "./status-report.ts";

export type RollStep = { readonly process: string; readonly role: "spare" | "writer" | "tally" | "router" };

/**
 * Spares first: when the writers follow, those who take over from them are rolled already. Then the tally and the routers.
 * A node that is neither says so to nobody: it counts as a spare.
 */
export function rollOrder(processes: readonly ListedProcess[], nodes: readonly ShardNodeStatus[]): RollStep[] {
  const writers = new Set(nodes.filter(({ role }) => role === ShardRole.WRITER).map(({ node }) => node));
  const steps = processes.map(({ name, kind }): RollStep => {
    if (kind === "shard-node") return { process: name, role: writers.has(name) ? "writer" : "spare" };
    return { process: name, role: kind };
  });
  return (["spare", "writer", "tally", "router"] as const).flatMap((role) =>
    steps.filter((step) => step.role === role),
  );
}

/** What is not well; empty when every server serves and every shard has a ready writer, with its standby in step. */
export function unwell({ servers, nodes }: StatusReport): string[] {
  const shards = [...new Set(nodes.map(({ shardId }) => shardId))];
  return [
    ...servers
      .filter(({ health }) => health !== "serving")
      .map(({ part, grpc, health }) => `${part} ${grpc}: ${health}`),
    ...nodes.filter(({ notReadyBecause }) => notReadyBecause !== "").map(faultOf),
    ...shards.flatMap((shard) => writerFaults(shard, nodes)),
  ];
}

function writerFaults(shard: number, nodes: readonly ShardNodeStatus[]): string[] {
  const writers = nodes.filter(({ shardId, role }) => shardId === shard && role === ShardRole.WRITER);
  if (writers.length === 0) return [`shard ${shard}: no writer`];
  return writers
    .filter(({ standbyState }) => standbyState !== "sync")
    .map(({ node }) => `shard ${shard}, ${node}: its standby is not in sync`);
}

function faultOf({ shardId, node, notReadyBecause }: ShardNodeStatus): string {
  return `shard ${shardId}, ${node}: ${notReadyBecause}`;
}
