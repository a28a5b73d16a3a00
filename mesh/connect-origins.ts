/**
 * Which web pages may call: those of the listed origins, and those that this server serves itself. Its own origins are
 * names of its address, never the request's Host header, which a stranger's DNS name can fill (DNS rebinding).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";
import type { HostPort } from "#mesh/host-port.ts";
import { formatHostPort } from "#mesh/host-port.ts";

const preflightSeconds = 7_200;

export type OriginVerdict = "none" | "allowed" | "foreign";

export class AllowedOrigins {
  readonly #allowed: ReadonlySet<string>;

  constructor(listed: readonly string[], own: HostPort) {
    const names = [own.host, "127.0.0.1", "localhost", "::1"];
    const origins = names.map((host) => `http://${formatHostPort({ host, port: own.port })}`);
    this.#allowed = new Set([...listed, ...origins]);
  }

  /** Callers that are no browsers send no origin. */
  judge(request: IncomingMessage): OriginVerdict {
    const { origin } = request.headers;
    if (origin === undefined) return "none";
    return this.#allowed.has(origin) ? "allowed" : "foreign";
  }
}

/** Lets the page of an allowed origin read the answer. */
export function allowReading(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader("access-control-allow-origin", request.headers.origin ?? "");
  response.setHeader("access-control-expose-headers", cors.exposedHeaders.join(", "));
  response.setHeader("vary", "Origin");
}

export function answerPreflight(response: ServerResponse): void {
  response.writeHead(204, {
    "access-control-allow-methods": cors.allowedMethods.join(", "),
    "access-control-allow-headers": [...cors.allowedHeaders, "Authorization", "Traceparent"].join(", "),
    "access-control-max-age": String(preflightSeconds),
  });
  response.end();
}
