/** What a process tells about itself: metrics, all on one page, and traces where they are switched on. */
import type { Registry } from "prom-client";
import { Counter, Gauge } from "prom-client";
import type { AnnouncedService } from "#mesh/announcer.ts";
import { CallMetrics } from "#mesh/call-metrics.ts";
import type { Logger } from "#mesh/log.ts";
import type { Mesh } from "#mesh/mesh.ts";
import type { ServerTelemetry } from "#mesh/method-telemetry.ts";
import type { MetricsServer } from "#mesh/metrics.ts";
import { createMetrics, serveMetrics } from "#mesh/metrics.ts";
import { releaseVersion } from "#mesh/release.ts";
import type { Tracer, TracesConfig } from "#mesh/tracing.ts";
import { openTracer } from "#mesh/tracing.ts";

export type Telemetry = {
  readonly registry: Registry;
  /** Undefined: no traces. */
  readonly tracer: Tracer | undefined;
  /** Of a server where callers enter the mesh: traces may begin there. */
  entrance(transport: ServerTelemetry["transport"]): ServerTelemetry;
  /** Of a server that others of the mesh call: it goes on with their traces alone. */
  inner(): ServerTelemetry;
  /** Serves the process's one page of metrics. Its end is the process's: it also sends the last spans, within about a second. */
  listen(address: string): Promise<MetricsServer>;
};

export type TelemetryOptions = {
  readonly service: AnnouncedService;
  /** `name`: of this instance, "router-0". */
  readonly config: { readonly name: string; readonly mesh: { readonly traces: TracesConfig | undefined } };
  readonly mesh: Pick<Mesh, "directory" | "identity">;
  readonly log: Logger;
};

export async function openTelemetry({ service, config, mesh, log }: TelemetryOptions): Promise<Telemetry> {
  const registry = createMetrics();
  const { deployment } = mesh.directory.current;
  const tracer = await openTracer(config.mesh.traces, { service, name: config.name, deployment }, log);
  const metrics = new CallMetrics(registry);
  measureProcess(registry, service, mesh, tracer);
  return {
    registry,
    tracer,
    entrance: (transport) => ({ transport, metrics, tracer, beginsTraces: true }),
    inner: () => ({ transport: "grpc", metrics, tracer, beginsTraces: false }),
    listen: async (address) => {
      const server = await serveMetrics(registry, address);
      const close = async () => {
        await tracer?.close();
        await server.close();
      };
      return { ...server, close };
    },
  };
}

function measureProcess(
  registry: Registry,
  service: AnnouncedService,
  { directory, identity }: TelemetryOptions["mesh"],
  tracer: Tracer | undefined,
): void {
  const registers = [registry];
  new Gauge({
    name: "urna_build_info",
    help: "1; the labels say which release of which service this is",
    labelNames: ["service", "version"],
    registers,
  }).set({ service, version: releaseVersion }, 1);
  new Gauge({
    name: "urna_directory_trouble",
    help: "1 while discovery cannot be read, and the last view of it stands",
    registers,
    collect() {
      this.set(directory.trouble === "" ? 0 : 1);
    },
  });
  new Gauge({
    name: "urna_map_epoch",
    help: "Epoch of the shard map that this process goes by",
    registers,
    collect() {
      this.set(directory.current.map.epoch);
    },
  });
  if (identity !== undefined) {
    new Gauge({
      name: "urna_certificate_seconds_left",
      help: "Until the certificate in use expires; negative afterwards",
      registers,
      collect() {
        this.set(identity.secondsLeft);
      },
    });
  }
  new Counter({
    name: "urna_trace_spans_total",
    help: "Spans of traces, by what became of them: exported, or dropped for want of a collector",
    labelNames: ["result"],
    registers,
    collect() {
      this.reset();
      this.inc({ result: "exported" }, tracer?.counts.exported ?? 0);
      this.inc({ result: "dropped" }, tracer?.counts.dropped ?? 0);
    },
  });
}
