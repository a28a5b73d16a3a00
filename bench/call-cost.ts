/** What a unary call over loopback costs a server that counts its calls, and one that is told of no telemetry. */
import { Registry } from "prom-client";
import type { CallCost } from "#bench/traces-cost-report.ts";
import { CallMetrics } from "#mesh/call-metrics.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServerTelemetry } from "#mesh/method-telemetry.ts";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";

const callsATurn = 10_000;
const callsAtOnce = 32;

type Side = { readonly server: GrpcServer; readonly client: Client<typeof MeshService> };

/** The two in turns, so that what else the machine does meets both. */
export async function measureCalls(turns: number): Promise<CallCost[]> {
  const metrics = new CallMetrics(new Registry());
  const without = await open({});
  const off = await open({ telemetry: { transport: "grpc", metrics, tracer: undefined, beginsTraces: true } });
  const costs: CallCost[] = [];
  for (const { client } of [without, off]) await microsecondsACall(client);
  for (let turn = 0; turn < turns; turn++) {
    costs.push({
      without_telemetry_us: await microsecondsACall(without.client),
      traces_off_us: await microsecondsACall(off.client),
    });
  }
  for (const { server, client } of [without, off]) {
    client.close();
    await server.close(0);
  }
  return costs;
}

async function open(options: { readonly telemetry?: ServerTelemetry }): Promise<Side> {
  const server = new GrpcServer([bind(MeshService, { getMeshStatus: async () => ({}) })], options);
  const { port } = await server.listen("127.0.0.1:0");
  return { server, client: createClient(MeshService, `127.0.0.1:${port}`) };
}

async function microsecondsACall(client: Client<typeof MeshService>): Promise<number> {
  const before = process.cpuUsage();
  let left = callsATurn;
  const callOn = async () => {
    while (left-- > 0) await client.getMeshStatus({});
  };
  await Promise.all(Array.from({ length: callsAtOnce }, callOn));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / callsATurn;
}
