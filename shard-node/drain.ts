/**
 * How a shard node ends: NOT_SERVING, out of the registry, GOAWAY; a writer settles what it has taken and resigns, so that a
 * spare need not wait for its silence; routers send the rest to the next writer. Then all is closed in reverse order.
 */
import type { Announcing } from "#mesh/announcing.ts";
import type { GrpcServer } from "#mesh/grpc-server.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { MetricsServer } from "#mesh/metrics.ts";
import type { HomeReader } from "./home-reader.ts";
import type { ShardNode } from "./node.ts";
import type { ReaderPool } from "./reader-pool.ts";
import type { Reconciler } from "./reconciler.ts";
import type { StandbyMonitor } from "./standby-monitor.ts";

export type DrainedParts = {
  readonly mesh: Mesh;
  readonly announcing: Announcing;
  readonly node: ShardNode;
  readonly homes: HomeReader;
  readonly readers: ReaderPool;
  readonly reconciler: Reconciler;
  readonly monitor: StandbyMonitor;
  readonly server: GrpcServer;
  readonly metricsServer: MetricsServer;
  /** Says NOT_SERVING, and from then on nothing else. */
  readonly endHealth: () => void;
  /** How long votes may settle. */
  readonly settleMs: number;
  readonly graceMs: number;
};

export async function drainShardNode(parts: DrainedParts): Promise<void> {
  const { node, server } = parts;
  parts.endHealth();
  await parts.announcing.withdraw();
  // Not waited for: streams of votes last as long as the writer, and what comes on them late is sent again by routers.
  void server.leave();
  parts.reconciler.stop();
  await node.stop(parts.settleMs);
  await server.close(parts.graceMs);
  parts.monitor.stop();
  parts.homes.close();
  parts.readers.close();
  parts.mesh.close();
  await parts.metricsServer.close();
}
