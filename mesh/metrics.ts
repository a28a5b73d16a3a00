/** Prometheus metrics of a process: one registry, served on its own address. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { collectDefaultMetrics, Registry } from "prom-client";
import type { HostPort } from "#mesh/host-port.ts";
import { parseHostPort } from "#mesh/host-port.ts";

export type { Registry } from "prom-client";

/** A registry that holds the process's own metrics, among them memory and event-loop delay (nodejs_eventloop_lag_…). */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10 });
  return registry;
}

export type MetricsServer = HostPort & { close(): Promise<void> };

/** GET /metrics. */
export async function serveMetrics(registry: Registry, address: HostPort | string): Promise<MetricsServer> {
  const wanted = typeof address === "string" ? parseHostPort(address) : address;
  if (wanted === undefined) throw new Error(`metrics: "${String(address)}" is not host:port`);
  const server = createServer((request, response) => void answer(registry, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(wanted.port, wanted.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { host: wanted.host, port, close };
}

async function answer(registry: Registry, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "GET" || request.url?.split("?")[0] !== "/metrics") {
    response.writeHead(404, { "content-type": "text/plain" }).end("metrics are at /metrics\n");
    return;
  }
  try {
    const text = await registry.metrics();
    response.writeHead(200, { "content-type": registry.contentType }).end(text);
  } catch {
    response.writeHead(500, { "content-type": "text/plain" }).end("metrics could not be collected\n");
  }
}
