/** A collector of traces: takes what is sent to it by OTLP over HTTP, in JSON, and keeps it for whoever looks. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export type CollectedSpan = {
  readonly service: string;
  /** Of the instance: "router-0". */
  readonly instance: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty at the root of a trace. */
  readonly parentSpanId: string;
  readonly attributes: Readonly<Record<string, string | number>>;
};

/** As OTLP has them in JSON. */
type OtlpValue = { readonly stringValue?: string; readonly intValue?: number | string; readonly doubleValue?: number };
type OtlpAttribute = { readonly key: string; readonly value: OtlpValue };
type OtlpSpan = Omit<CollectedSpan, "service" | "instance" | "attributes" | "parentSpanId"> & {
  readonly parentSpanId?: string;
  readonly attributes: readonly OtlpAttribute[];
};
type OtlpTraces = {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
};

export class TraceCollector {
  readonly endpoint: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #keeps: boolean;
  /** Every body, as it came. */
  readonly bodies: string[] = [];
  /** What it answers with. */
  status = 200;
  requests = 0;
  /** What it waits for before it answers. */
  hold: Promise<void> = Promise.resolve();

  private constructor(server: ReturnType<typeof createServer>, keeps: boolean) {
    this.#server = server;
    this.#keeps = keeps;
    this.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  }

  /** `keeps`: false for a load that nobody looks at. */
  static async start({ keeps = true } = {}): Promise<TraceCollector> {
    const server = createServer((request, response) => void collector.#take(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const collector = new TraceCollector(server, keeps);
    return collector;
  }

  spans(traceId?: string): CollectedSpan[] {
    return this.bodies.flatMap(spansOf).filter((span) => traceId === undefined || span.traceId === traceId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    this.requests += 1;
    if (this.status === 200 && this.#keeps) this.bodies.push(body);
    await this.hold;
    response.writeHead(this.status, { "content-type": "application/json" }).end("{}");
  }
}

function spansOf(body: string): CollectedSpan[] {
  const { resourceSpans } = JSON.parse(body) as OtlpTraces;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const of = valuesOf(resource.attributes);
    const process = { service: String(of["service.name"]), instance: String(of["service.instance.id"]) };
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ name, traceId, spanId, parentSpanId = "", attributes }) => {
        return { ...process, name, traceId, spanId, parentSpanId, attributes: valuesOf(attributes) };
      }),
    );
  });
}

function valuesOf(attributes: readonly OtlpAttribute[]): Record<string, string | number> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue ?? value.doubleValue)]),
  );
}
