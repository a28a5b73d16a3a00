/** How a shard node stands, as operators read it in the registry. */
import { grouped, type Standing, serviceMeta, statusOf } from "#mesh/announcing.ts";
import type { HostPort } from "#mesh/host-port.ts";
import { formatLogOrigin } from "#proto/log-origin.ts";
import { notReadyBecause, type ShardServiceParts } from "./shard-service.ts";

export type AnnouncedNode = Pick<ShardServiceParts, "name" | "shardId" | "node" | "monitor" | "metrics"> & {
  /** "shard-0-a/1f9c…", as the head names its writer. */
  readonly process: string;
  readonly grpc: HostPort;
  readonly metricsServer: HostPort;
  readonly waitingVotesMax: number;
  /** Why a part is out of order that the node can do without for now; empty ones are not shown. */
  readonly troubles: () => readonly string[];
};

/** From this share of its queue on a shard is called overloaded. */
const fullShare = 0.5;
const slowCommitMs = 1_000;

export function standingOf(parts: AnnouncedNode): Standing {
  const { name, shardId, node, grpc } = parts;
  const writing = node.state.kind === "writing" ? node.state.writer.head : undefined;
  return {
    announcement: {
      service: "urna-shard",
      id: name,
      ...grpc,
      tags: [`shard-${shardId}`, writing === undefined ? "spare" : "writer"],
      meta: {
        ...serviceMeta({ metrics: parts.metricsServer }),
        shard: String(shardId),
        process: parts.process,
        ...(writing === undefined
          ? {}
          : {
              epoch: String(writing.mapEpoch),
              writer_epoch: String(writing.writerEpoch),
              log: formatLogOrigin(writing),
            }),
      },
    },
    status: statusOf(`shard ${shardId}`, troublesOf(parts), wellOf(parts)),
  };
}

function wellOf({ node, monitor, metrics }: AnnouncedNode): string {
  if (node.state.kind === "spare") return node.state.because === "" ? "spare, ready to take over" : "spare";
  const { writer } = node.state;
  const { state, lagBytes } = monitor.state;
  return [
    `writing, batch ${grouped(writer.feed.durableBatch)}`,
    `standby ${state === "sync" ? "in sync" : state === "" ? "missing" : state} ${grouped(lagBytes)} B behind`,
    `${grouped(writer.waitingVotes)} votes waiting`,
    `commit p99 ${grouped(metrics.commitMsP99)} ms`,
  ].join(", ");
}

function troublesOf(parts: AnnouncedNode) {
  const { node, metrics, waitingVotesMax } = parts;
  const because = notReadyBecause(parts);
  const waiting = node.state.kind === "writing" ? node.state.writer.waitingVotes : 0;
  return [
    ...(because === "" ? [] : [{ level: "critical", line: because } as const]),
    ...(waiting < fullShare * waitingVotesMax ? [] : [{ level: "warning", line: "overloaded" } as const]),
    ...(metrics.commitMsP99 < slowCommitMs ? [] : [{ level: "warning", line: "commits are slow" } as const]),
    ...parts.troubles().flatMap((line) => (line === "" ? [] : [{ level: "warning", line } as const])),
  ];
}
