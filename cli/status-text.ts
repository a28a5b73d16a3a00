/** A status report for people. */
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { formatCount } from "./number-format.ts";
import type { StatusReport } from "./status-report.ts";
import { plainText, textTable } from "./text-table.ts";

export function statusLines({ servers, nodes }: StatusReport): string[] {
  const serverRows = servers.map(({ part, grpc, connect, health }) => [part, grpc, connect ?? "", health]);
  const ordered = [...nodes].sort((a, b) => a.shardId - b.shardId || b.role - a.role || a.node.localeCompare(b.node));
  return [
    ...textTable(
      [{ head: "PART" }, { head: "GRPC" }, { head: "CONNECT", flexible: true }, { head: "HEALTH" }],
      serverRows,
    ),
    ...servers.flatMap(({ part, grpc, degraded }) =>
      degraded.map((because) => plainText(`${part} ${grpc}: ${because}`)),
    ),
    "",
    ...textTable(
      [
        { head: "SHARD", align: "right" },
        { head: "NODE", flexible: true },
        { head: "ROLE" },
        { head: "BATCH", align: "right" },
        { head: "VOTES", align: "right" },
        { head: "WAITING", align: "right" },
        { head: "STANDBY" },
      ],
      ordered.map(nodeCells),
    ),
    ...ordered.flatMap(faultLines),
  ];
}

function nodeCells(node: ShardNodeStatus): string[] {
  const name = [String(node.shardId), node.node];
  switch (node.role) {
    case ShardRole.WRITER: {
      const figures = [node.batch, node.votes, node.waitingVotes].map(formatCount);
      return [...name, "writer", ...figures, node.standbyState || "none"];
    }
    case ShardRole.SPARE:
      return [...name, "spare", "", "", "", ""];
    default:
      return [...name, "-", "", "", "", ""];
  }
}

function faultLines({ shardId, node, notReadyBecause }: ShardNodeStatus): string[] {
  return notReadyBecause === "" ? [] : [plainText(`shard ${shardId}, ${node}: ${notReadyBecause}`)];
}
