/**
 * The same implementations for browsers: Connect, gRPC-Web and JSON on HTTP/1.1, with everything else handed to a fallback
 * (the web page). Every refusal is typed, and pages of foreign origins are refused before their request is read.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { Code, ConnectError, createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { refuseLateCall, rejectionOf } from "#mesh/call-failure.ts";
import { AllowedOrigins, allowReading, answerPreflight } from "#mesh/connect-origins.ts";
import { refusalResponse, withTypedError } from "#mesh/connect-typed-error.ts";
import { Departure } from "#mesh/departure.ts";
import type { HostPort } from "#mesh/host-port.ts";
import { parseHostPort } from "#mesh/host-port.ts";
import type { Logger } from "#mesh/log.ts";
import type { ServerTelemetry } from "#mesh/method-telemetry.ts";
import { MethodTelemetry } from "#mesh/method-telemetry.ts";
import { connectErrorOf } from "#mesh/rejection-status.ts";
import type { BidiMethod, CallContext, ServerStreamMethod, ServiceBinding, UnaryMethod } from "#mesh/service-call.ts";
import { EncodedMessage, methodOf } from "#mesh/service-call.ts";
import { within } from "#mesh/time-limit.ts";
import { requestBytesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

/** Limits of the web server; docs/calls.md has them in one table. */
const connectionsMax = 10_000;
/** Then the connection is closed after the answer, so that callers are spread over the routers anew now and then. */
const requestsPerConnectionMax = 10_000;
const httpLimits = {
  maxHeaderSize: 16 * 1024,
  /** A caller has so long to send its headers, and its whole request. */
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 2_500,
  /** A connection without a request; longer than load balancers keep one. */
  keepAliveTimeout: 75_000,
} as const;

export type ConnectServerOptions = {
  readonly log?: Logger;
  readonly telemetry?: ServerTelemetry;
  /** Origins of web pages that may call, besides the server's own. */
  readonly allowedOrigins?: readonly string[];
  /** Answers what is no rpc. Default: 404. */
  readonly fallback?: (request: IncomingMessage, response: ServerResponse) => void;
};

type ServedMethod = { readonly rpc: string; readonly telemetry: MethodTelemetry };

export class ConnectServer {
  readonly #log: Logger | undefined;
  readonly #options: ConnectServerOptions;
  readonly #handlers: ReadonlyMap<string, UniversalHandler>;
  readonly #stopping = new AbortController();
  readonly #server: Server;
  #origins: AllowedOrigins | undefined;
  #leaving = false;
  #activeCalls = 0;
  #onIdle: (() => void) | undefined;

  constructor(bindings: readonly ServiceBinding[], options: ConnectServerOptions = {}) {
    this.#log = options.log;
    this.#options = options;
    const router = createConnectRouter({
      grpc: false,
      readMaxBytes: requestBytesMax,
      acceptCompression: [compressionGzip],
      jsonOptions: { ignoreUnknownFields: false },
      shutdownSignal: this.#stopping.signal,
    });
    for (const binding of bindings) this.#addService(router, binding);
    this.#handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
    this.#server = createServer(httpLimits, (request, response) => this.#answer(request, response));
    this.#server.maxConnections = connectionsMax;
    this.#server.maxRequestsPerSocket = requestsPerConnectionMax;
  }

  /** Port 0 asks for a free one. */
  async listen(address: string): Promise<HostPort> {
    const wanted = parseHostPort(address);
    if (wanted === undefined) throw new Error(`ConnectServer: "${address}" is not host:port`);
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(wanted.port, wanted.host, resolve);
    });
    const own = { host: wanted.host, port: (this.#server.address() as AddressInfo).port };
    this.#origins = new AllowedOrigins(this.#options.allowedOrigins ?? [], own);
    return own;
  }

  /** From now on each answer is the last on its connection. Calls still come: HTTP/1.1 has no other way to send callers away. */
  leave(): void {
    this.#leaving = true;
  }

  /** Takes no more connections, lets running calls end for at most graceMs, then aborts and cuts them. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#activeCalls === 0) resolve();
    });
    await within(graceMs, idle);
    this.#stopping.abort(new ConnectError("the server is stopping", Code.Unavailable));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    if (this.#leaving) response.shouldKeepAlive = false;
    const verdict = this.#origins?.judge(request) ?? "foreign";
    if (verdict === "allowed") allowReading(request, response);
    if (request.method === "OPTIONS" && verdict === "allowed") {
      answerPreflight(response);
      return;
    }
    if (verdict === "foreign" && request.method !== "GET" && request.method !== "HEAD") {
      const refusal = new RejectionError("PERMISSION_DENIED", "pages of this origin may not call");
      void this.#send(refusalResponse(403, refusal), response);
      return;
    }
    const handler = this.#handlers.get(request.url?.split("?", 1)[0] ?? "");
    if (handler !== undefined) void this.#call(handler, request, response);
    else this.#answerOther(request, response);
  }

  #answerOther(request: IncomingMessage, response: ServerResponse): void {
    const isRead = request.method === "GET" || request.method === "HEAD";
    if (isRead && this.#options.fallback !== undefined) this.#options.fallback(request, response);
    else void this.#send(refusalResponse(404, new RejectionError("INVALID_REQUEST", "no such method")), response);
  }

  async #call(handler: UniversalHandler, request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#activeCalls += 1;
    try {
      const universal = universalRequestFromNodeRequest(request, response, undefined, undefined);
      await this.#send(await withTypedError(await handler(universal)), response);
    } catch (cause) {
      // What is thrown here was thrown by no implementation: a request without a host, a reader that left.
      this.#log?.debug({ err: cause, rpc: handler.method.name }, "a web call broke off");
      response.destroy();
    } finally {
      this.#activeCalls -= 1;
      if (this.#activeCalls === 0) this.#onIdle?.();
    }
  }

  async #send(universal: UniversalServerResponse, response: ServerResponse): Promise<void> {
    // The promise of the library waits for an event that node:http responses do not have, so "close" ends the wait.
    const closed = new Promise<void>((resolve) => response.once("close", resolve));
    await Promise.race([universalResponseToNodeResponse(universal, response), closed]).catch((cause: unknown) => {
      this.#log?.debug({ err: cause }, "a web response broke off");
      response.destroy();
    });
  }

  #addService(router: ConnectRouter, binding: ServiceBinding): void {
    const methods = binding.service.methods.map((method) => [method.localName, this.#method(binding, method)]);
    router.service(binding.service, Object.fromEntries(methods) as ServiceImpl<DescService>);
  }

  #method(binding: ServiceBinding, method: DescMethod): unknown {
    const rpc = `${binding.service.typeName}/${method.name}`;
    const telemetry = new MethodTelemetry(method, this.#options.telemetry);
    switch (method.methodKind) {
      case "unary":
        return this.#unary({ rpc, telemetry }, unaryMethod(binding, method));
      case "server_streaming":
        return this.#stream({ rpc, telemetry }, method, methodOf<ServerStreamMethod>(binding, method.localName));
      case "bidi_streaming":
        return this.#stream({ rpc, telemetry }, method, methodOf<BidiMethod>(binding, method.localName));
      case "client_streaming":
        throw new Error(`${rpc}: client streaming is not in the contract`);
    }
  }

  #unary({ rpc, telemetry }: ServedMethod, method: UnaryMethod) {
    return async (request: unknown, context: HandlerContext) => {
      const startedAtMs = performance.now();
      const call = connectCall(context, telemetry);
      try {
        refuseLateCall(call.deadlineMs);
        const response = await method(request, call);
        telemetry.answered(startedAtMs, call.trace);
        return response;
      } catch (cause) {
        const rejection = rejectionOf(cause, rpc, this.#log, context.signal.aborted);
        telemetry.answered(startedAtMs, call.trace, rejection);
        throw connectErrorOf(rejection);
      }
    };
  }

  #stream<Request>(
    { rpc, telemetry }: ServedMethod,
    { output }: DescMethod,
    method: (request: Request, call: CallContext) => AsyncIterable<unknown>,
  ) {
    const log = this.#log;
    return async function* answer(request: Request, context: HandlerContext) {
      const departure = new Departure((leave) => context.signal.addEventListener("abort", leave, { once: true }));
      let responses: AsyncIterator<unknown> | undefined;
      const startedAtMs = performance.now();
      const call = connectCall(context, telemetry);
      let rejection: RejectionError | undefined;
      try {
        refuseLateCall(call.deadlineMs);
        responses = method(request, call)[Symbol.asyncIterator]();
        while (!context.signal.aborted) {
          const next = await departure.orGone(responses.next());
          if (next === undefined || next.done === true) return;
          yield next.value instanceof EncodedMessage ? decodedOnce(next.value, output) : next.value;
        }
      } catch (cause) {
        rejection = rejectionOf(cause, rpc, log, context.signal.aborted);
        throw connectErrorOf(rejection);
      } finally {
        telemetry.answered(startedAtMs, call.trace, rejection);
        responses?.return?.()?.catch(() => {});
      }
    };
  }
}

/** connect-node has decoded the request, perhaps from JSON, and encodes the response: an encoded method is given bytes again. */
function unaryMethod(binding: ServiceBinding, { localName, input, output }: DescMethod): UnaryMethod {
  const encoded = binding.encoded[localName];
  if (encoded === undefined) {
    const method = methodOf<UnaryMethod>(binding, localName);
    return async (request, call) => {
      const response = await method(request, call);
      return response instanceof EncodedMessage ? decodedOnce(response, output) : response;
    };
  }
  return async (request, call) => {
    const bytes = toBinary(input, request as Message, { writeUnknownFields: false });
    return fromBinary(output, (await encoded(bytes, call)).bytes);
  };
}

function connectCall(context: HandlerContext, telemetry: MethodTelemetry): CallContext {
  return {
    trace: telemetry.received(context.requestHeader),
    signal: context.signal,
    deadlineMs: context.timeoutMs(),
    peer: undefined,
    header: (name) => context.requestHeader.get(name) ?? undefined,
  };
}

/** connect-node serialises by itself; a frame for many watchers is at least decoded once, as each type that it is sent as. */
const decoded = new WeakMap<DescMethod["output"], WeakMap<EncodedMessage, unknown>>();

function decodedOnce(encoded: EncodedMessage, output: DescMethod["output"]): unknown {
  const messages = decoded.get(output) ?? new WeakMap<EncodedMessage, unknown>();
  decoded.set(output, messages);
  let message = messages.get(encoded);
  if (message === undefined) {
    message = fromBinary(output, encoded.bytes);
    messages.set(encoded, message);
  }
  return message;
}
