/**
 * How a router ends: NOT_SERVING, out of the registry, GOAWAY. Calls that were on their way are still taken, streams end.
 * Then votes settle. Pages go on calling (HTTP/1.1 cannot send them away): for half of that time they are served, and then
 * refused, so that what was taken settles. What is left is answered (a vote that was sent as OUTCOME_UNKNOWN), the answers
 * leave, and the rest is closed in reverse order.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Announcing } from "#mesh/announcing.ts";
import type { ConnectServer } from "#mesh/connect-server.ts";
import type { GrpcServer } from "#mesh/grpc-server.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { MetricsServer } from "#mesh/metrics.ts";
import type { Admission } from "./admission.ts";
import type { Casting } from "./casting.ts";
import type { Gate } from "./gate.ts";
import type { RouterHealth } from "./health.ts";
import type { TallyRelay } from "./tally-relay.ts";

export type DrainedParts = {
  readonly gate: Gate;
  readonly health: RouterHealth;
  readonly admission: Admission;
  readonly casting: Casting;
  readonly relay: TallyRelay;
  readonly grpc: GrpcServer;
  readonly connect: ConnectServer;
  readonly metrics: MetricsServer;
  readonly mesh: Mesh;
  readonly announcing: Announcing;
  readonly ticker: NodeJS.Timeout;
  readonly settleMs: number;
  readonly graceMs: number;
};

const settledCheckMs = 20;

export async function drainRouter(parts: DrainedParts): Promise<void> {
  const { admission, casting, grpc, connect, settleMs, graceMs } = parts;
  clearInterval(parts.ticker);
  parts.health.end();
  await parts.announcing.withdraw();
  connect.leave();
  const arrived = grpc.leave();
  parts.gate.leave();
  await arrived;
  parts.relay.close();
  await settle(admission, settleMs / 2);
  parts.gate.close();
  await settle(admission, settleMs / 2);
  casting.close();
  await Promise.all([grpc.close(graceMs), connect.close(graceMs)]);
  parts.mesh.close();
  await parts.metrics.close();
}

async function settle(admission: Admission, limitMs: number): Promise<void> {
  const untilMs = performance.now() + limitMs;
  while (admission.votes > 0 && performance.now() < untilMs) await delay(settledCheckMs);
}
