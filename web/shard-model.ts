/** A line a shard: what the routers say of its nodes, and how far the tally has read it. No DOM here. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { TallyCut } from "#proto/generated/urna/v1/tally_service_pb.js";
import { verifiedThrough } from "./audit-model.ts";
import { formatBytes, formatClock, formatCount } from "./number-format.ts";

export type ShardLine = {
  readonly shardId: number;
  /** The durable mark. */
  readonly batch: string;
  /** The batch that the shown counts reach. */
  readonly counted: string;
  /** The batch through which an auditor has verified it; undefined when none follows. */
  readonly verified: string | undefined;
  readonly votes: string;
  readonly standby: string;
  readonly healthy: boolean;
  /** What is wrong, or who serves. */
  readonly note: string;
};

const unknown = "–";

/** `nodes` is undefined where the mesh's state is not known: then only what the frame says is there. */
export function shardLines(cut: TallyCut | undefined, nodes: readonly ShardNodeStatus[] | undefined): ShardLine[] {
  const shardIds = new Set<number>();
  for (const { shardId } of cut?.vector ?? []) shardIds.add(shardId);
  for (const { shardId } of cut?.missing ?? []) shardIds.add(shardId);
  for (const { shardId } of nodes ?? []) shardIds.add(shardId);
  return [...shardIds]
    .sort((a, b) => a - b)
    .map((shardId) => {
      const own = nodes?.filter((node) => node.shardId === shardId);
      return shardLine(shardId, cut, own);
    });
}

function shardLine(
  shardId: number,
  cut: TallyCut | undefined,
  nodes: readonly ShardNodeStatus[] | undefined,
): ShardLine {
  const writers = nodes?.filter(({ role }) => role === ShardRole.WRITER) ?? [];
  // Two nodes may take themselves for the writer for a moment: the one that serves is.
  const writer = writers.find(({ notReadyBecause }) => notReadyBecause === "") ?? writers[0];
  const counted = cut?.vector.find((position) => position.shardId === shardId)?.batch;
  const missing = cut?.missing.find((shard) => shard.shardId === shardId);
  const faults: string[] = [];
  if (missing !== undefined) {
    faults.push(`not read since ${missing.since ? formatClock(timestampDate(missing.since)) : "the start"}`);
  }
  if (nodes !== undefined && writer === undefined) faults.push(`no writer (${whyNot(nodes)})`);
  if (writer !== undefined && writer.notReadyBecause !== "") faults.push(`does not serve: ${writer.notReadyBecause}`);
  return {
    shardId,
    batch: writer === undefined ? unknown : formatCount(writer.batch),
    counted: counted === undefined ? unknown : formatCount(counted),
    verified: verifiedThrough(cut, shardId),
    votes: writer === undefined ? unknown : formatCount(writer.votes),
    standby: writer === undefined ? unknown : standbyText(writer),
    healthy: faults.length === 0,
    note: faults.length > 0 ? faults.join("; ") : servingNote(writer, nodes ?? []),
  };
}

function standbyText({ standbyState, standbyLagBytes }: ShardNodeStatus): string {
  if (standbyState === "") return "none";
  return standbyLagBytes > 0n ? `${standbyState}, ${formatBytes(standbyLagBytes)} behind` : standbyState;
}

function servingNote(writer: ShardNodeStatus | undefined, nodes: readonly ShardNodeStatus[]): string {
  if (writer === undefined) return "";
  const spares = nodes.filter((node) => node !== writer && node.notReadyBecause !== "unreachable").length;
  return `${writer.node} writes, ${spares === 1 ? "1 spare" : `${spares} spares`}`;
}

function whyNot(nodes: readonly ShardNodeStatus[]): string {
  const reasons = nodes.map(({ node, notReadyBecause }) => `${node}: ${notReadyBecause || "spare"}`);
  return reasons.length === 0 ? "no node is known" : reasons.join(", ");
}
