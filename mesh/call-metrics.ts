/** How many calls a process answers, how, and in what time. A stream is one call, however many votes it carries. */
import type { Registry } from "prom-client";
import { Counter, Histogram } from "prom-client";
import type { GrpcCodeName } from "#proto/rejections.ts";

export type Transport = "grpc" | "connect";

type Answers = {
  readonly rpc: string;
  readonly transport: Transport;
  readonly code: GrpcCodeName | "OK";
  calls: number;
};

export class CallMetrics {
  readonly #answers = new Map<string, Answers>();
  readonly #seconds: Histogram<"rpc" | "transport">;
  readonly #refusalSeconds: Histogram<"rpc" | "transport">;

  constructor(registry: Registry) {
    const registers = [registry];
    const answers = this.#answers;
    new Counter({
      name: "urna_rpc_calls_total",
      help: "Calls answered, by method, transport and gRPC code",
      labelNames: ["rpc", "transport", "code"],
      registers,
      collect() {
        this.reset();
        for (const { calls, ...labels } of answers.values()) this.inc(labels, calls);
      },
    });
    const labelNames = ["rpc", "transport"] as const;
    const buckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];
    this.#seconds = new Histogram({
      name: "urna_rpc_seconds",
      help: "From the arrival of a unary call to its answer",
      labelNames,
      buckets,
      registers,
    });
    this.#refusalSeconds = new Histogram({
      name: "urna_rpc_refusal_seconds",
      help: "The same of those answered RESOURCE_EXHAUSTED: a server with too much to do says so soon",
      labelNames,
      buckets,
      registers,
    });
  }

  /** `tookMs` of a unary call; undefined of a stream, which lasts as long as its caller likes. */
  answered(rpc: string, transport: Transport, code: GrpcCodeName | "OK", tookMs: number | undefined): void {
    const key = `${transport} ${code} ${rpc}`;
    const answers = this.#answers.get(key);
    if (answers === undefined) this.#answers.set(key, { rpc, transport, code, calls: 1 });
    else answers.calls += 1;
    if (tookMs === undefined) return;
    this.#seconds.observe({ rpc, transport }, tookMs / 1_000);
    if (code === "RESOURCE_EXHAUSTED") this.#refusalSeconds.observe({ rpc, transport }, tookMs / 1_000);
  }
}
