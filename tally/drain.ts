/**
 * How a tally ends: NOT_SERVING, out of the registry, GOAWAY; it ends what would never end, lets running calls finish, and
 * closes the rest in reverse order.
 */
import type { Announcing } from "#mesh/announcing.ts";
import type { ConnectServer } from "#mesh/connect-server.ts";
import type { GrpcServer } from "#mesh/grpc-server.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { MetricsServer } from "#mesh/metrics.ts";
import type { FrameMaker } from "./frame-maker.ts";
import type { TallyHealth } from "./health.ts";
import type { ShardRoster } from "./shard-roster.ts";
import type { ViewPublisher } from "./view-publisher.ts";
import type { Watchers } from "./watchers.ts";
import type { Witness } from "./witness.ts";

export type DrainedParts = {
  readonly mesh: Mesh;
  readonly announcing: Announcing;
  readonly roster: ShardRoster;
  readonly witness: Witness;
  readonly frames: FrameMaker;
  readonly watchers: Watchers;
  readonly publisher: ViewPublisher | undefined;
  readonly health: TallyHealth;
  readonly grpc: GrpcServer;
  readonly connect: ConnectServer;
  readonly metrics: MetricsServer;
  /** Of the tick that makes frames. */
  readonly ticker: NodeJS.Timeout;
  readonly graceMs: number;
};

export async function drainTally(parts: DrainedParts): Promise<void> {
  const { grpc, connect, graceMs } = parts;
  clearInterval(parts.ticker);
  parts.health.end();
  await parts.announcing.withdraw();
  connect.leave();
  await grpc.leave();
  parts.frames.endWaits();
  parts.watchers.close();
  parts.publisher?.close();
  await Promise.all([grpc.close(graceMs), connect.close(graceMs)]);
  await parts.roster.stop();
  await parts.witness.close();
  parts.mesh.close();
  await parts.metrics.close();
}
