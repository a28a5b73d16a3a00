/**
 * What a unary call over loopback costs a server that is told of no telemetry, one that counts its calls, and one that records
 * some or all of them: client, server and collector in this one process, in short turns, so that what else the machine does
 * meets all alike.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Registry } from "prom-client";
import { TraceCollector } from "#bench/trace-collector.ts";
import type { CallCost, CallMode } from "#bench/traces-cost-report.ts";
import { callModes } from "#bench/traces-cost-report.ts";
import { CallMetrics } from "#mesh/call-metrics.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { createLogger } from "#mesh/log.ts";
import { OtlpTracer } from "#mesh/otlp-tracer.ts";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";

const callsATurn = 1_500;
const callsAtOnce = 32;
/** Exports as in service: an export costs about a millisecond, however few spans it has. */
const exportTimes = { pauseMs: 1_000, closeLimitMs: 1_000 };

type Side = {
  readonly mode: CallMode;
  readonly server: GrpcServer;
  readonly client: Client<typeof MeshService>;
  readonly tracer: OtlpTracer | undefined;
};

export async function measureCalls(turns: number): Promise<CallCost[]> {
  await using collector = await TraceCollector.start({ keeps: false });
  const sides: Side[] = [];
  for (const mode of callModes) sides.push(await open(mode, collector.endpoint));
  const costs: CallCost[] = [];
  for (const side of sides) await microsecondsACall(side);
  for (let turn = 0; turn < turns; turn++) {
    const cost = new Map<CallMode, number>();
    for (let i = 0; i < sides.length; i++) {
      const side = sides[(turn + i) % sides.length];
      if (side !== undefined) cost.set(side.mode, await microsecondsACall(side));
    }
    costs.push(Object.fromEntries(cost) as CallCost);
  }
  for (const { server, client, tracer } of sides) {
    client.close();
    await server.close(0);
    await tracer?.close();
  }
  return costs;
}

async function open(mode: CallMode, endpoint: string): Promise<Side> {
  const metrics = new CallMetrics(new Registry());
  const self = { service: "urna-router", name: "bench", deployment: "bench" } as const;
  const isTraced = mode === "0.01" || mode === "1";
  const tracer = isTraced
    ? new OtlpTracer({ endpoint, ratio: Number(mode) }, self, createLogger("bench"), exportTimes)
    : undefined;
  const telemetry = { transport: "grpc", metrics, tracer, beginsTraces: true } as const;
  const binding = bind(MeshService, { getMeshStatus: async () => ({}) });
  const server = new GrpcServer([binding], mode === "no telemetry" ? {} : { telemetry });
  const { port } = await server.listen("127.0.0.1:0");
  return { mode, server, client: createClient(MeshService, `127.0.0.1:${port}`), tracer };
}

/** Until the spans of all calls have been taken. */
async function microsecondsACall({ client, tracer }: Side): Promise<number> {
  const before = process.cpuUsage();
  let left = callsATurn;
  const callOn = async () => {
    while (left-- > 0) await client.getMeshStatus({});
  };
  await Promise.all(Array.from({ length: callsAtOnce }, callOn));
  while ((tracer?.waiting ?? 0) > 0) await delay(5);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / callsATurn;
}
