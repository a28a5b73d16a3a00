/**
 * A gRPC server: implementations on grpc-js, with health (per service) and reflection, and a typed status for everything,
 * also for what grpc-js itself refuses.
 */
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { CallError } from "#mesh/call-error.ts";
import { refuseLateCall, rejectionOf } from "#mesh/call-failure.ts";
import { CallGate } from "#mesh/call-gate.ts";
import { Departure } from "#mesh/departure.ts";
import { GrpcCallContext } from "#mesh/grpc-call-context.ts";
import { grpcDefinition } from "#mesh/grpc-definition.ts";
import { GrpcListener } from "#mesh/grpc-listener.ts";
import type { ConnectionAge } from "#mesh/grpc-server-options.ts";
import { grpcServerOptions } from "#mesh/grpc-server-options.ts";
import type { HostPort } from "#mesh/host-port.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Intentions } from "#mesh/intentions.ts";
import { noIntentions } from "#mesh/intentions.ts";
import type { Logger } from "#mesh/log.ts";
import { MessageReader } from "#mesh/message-reader.ts";
import type { ServerTelemetry } from "#mesh/method-telemetry.ts";
import { MethodTelemetry } from "#mesh/method-telemetry.ts";
import { addReflection } from "#mesh/reflection.ts";
import { rejectionStatus } from "#mesh/rejection-status.ts";
import type { BidiMethod, ServerStreamMethod, ServiceBinding, UnaryMethod } from "#mesh/service-call.ts";
import { methodOf } from "#mesh/service-call.ts";
import type { SpiffeId } from "#mesh/spiffe-id.ts";
import { within } from "#mesh/time-limit.ts";
import { WriteWindow } from "#mesh/write-window.ts";
import { requestBytesMax } from "#proto/limits.ts";
import type { RejectionError } from "#proto/rejections.ts";

export { bind } from "#mesh/service-call.ts";

/** Responses of a stream in both directions that may be on their way at once. */
const unsentMax = 512;
/** How long what was on its way when GOAWAY was said may take to arrive. */
const arrivalLimitMs = 200;
/** How long the last answers may take to leave after their calls have ended. */
const flushLimitMs = 250;

export type GrpcServerOptions = {
  readonly log?: Logger;
  /** Undefined: plaintext. */
  readonly identity?: Identity | undefined;
  /** What operators have denied; asked only of callers that have identities. */
  readonly intentions?: Intentions;
  readonly telemetry?: ServerTelemetry;
  /** Bytes of one request message; beyond it the caller gets INVALID_REQUEST. Default: requestBytesMax. */
  readonly messageBytesMax?: number;
  /** Of a server for callers from outside. Default: connections last. */
  readonly connectionAge?: ConnectionAge;
};

type ServedMethod = { readonly rpc: string; readonly telemetry: MethodTelemetry };
type ReadableCall = ServerDuplexStream<unknown, unknown>;
type WritableCall = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

export class GrpcServer {
  readonly #server: Server;
  readonly #log: Logger | undefined;
  readonly #telemetry: ServerTelemetry | undefined;
  readonly #listener: GrpcListener;
  /** Undefined: everybody may call everything. */
  readonly #gate: CallGate | undefined;
  readonly #health = new HealthImplementation({ "": "NOT_SERVING" });
  #activeCalls = 0;
  #onIdle: (() => void) | undefined;
  #shutDown: Promise<void> | undefined;

  constructor(bindings: readonly ServiceBinding[], options: GrpcServerOptions = {}) {
    this.#log = options.log;
    this.#telemetry = options.telemetry;
    const { identity, intentions = noIntentions } = options;
    this.#gate = identity === undefined ? undefined : new CallGate(identity.spiffeId.kind, intentions);
    this.#server = new Server(grpcServerOptions(options.messageBytesMax ?? requestBytesMax, options.connectionAge));
    this.#listener = new GrpcListener(this.#server, identity, options.log);
    for (const binding of bindings) {
      this.#server.addService(grpcDefinition(binding), this.#handlers(binding));
      this.setServing(binding.service.typeName, false);
    }
    this.#health.addToServer(this.#server);
    addReflection(
      this.#server,
      bindings.map(({ service }) => service),
    );
  }

  /** Port 0 asks for a free one. Nothing is SERVING until setServing says so. */
  async listen(address: string): Promise<HostPort> {
    return await this.#listener.listen(address);
  }

  /** What grpc.health.v1 answers for a service's full name, or for "" (the whole server). */
  setServing(service: string, serving: boolean): void {
    this.#health.setStatus(service, serving ? "SERVING" : "NOT_SERVING");
  }

  /**
   * Takes no more connections, and says GOAWAY on those there are. Calls that have come go on; what a client sends before it
   * has heard of it is refused unread (REFUSED_STREAM), and every gRPC client sends that again by itself. Resolves when what
   * was on its way has arrived.
   */
  async leave(): Promise<void> {
    this.#shutDown ??= this.#takeNoMore();
    await within(arrivalLimitMs, this.#shutDown);
  }

  /** Leaves, lets the running calls end for at most graceMs, then cuts them. Endless streams end themselves. */
  async close(graceMs: number): Promise<void> {
    void this.leave();
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#activeCalls === 0) resolve();
    });
    // Health watchers and reflection streams never end by themselves, so only our own calls are waited for.
    await within(graceMs, idle);
    await within(flushLimitMs, this.#shutDown ?? Promise.resolve());
    this.#server.forceShutdown();
    this.#gate?.close();
  }

  /** Resolves when the last connection has ended. */
  async #takeNoMore(): Promise<void> {
    const stopped = this.#listener.stop();
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    await stopped;
  }

  #handlers(binding: ServiceBinding): UntypedServiceImplementation {
    return Object.fromEntries(
      binding.service.methods.map((method) => [method.localName, this.#handler(binding, method)]),
    );
  }

  #handler(binding: ServiceBinding, method: DescMethod): UntypedHandleCall {
    const served = { rpc: rpcName(method), telemetry: new MethodTelemetry(method, this.#telemetry) };
    switch (method.methodKind) {
      case "unary":
        return this.#unary(served, this.#unaryMethod(binding, method.localName));
      case "server_streaming":
        return this.#serverStream(served, methodOf<ServerStreamMethod>(binding, method.localName));
      case "bidi_streaming":
        return this.#bidi(served, methodOf<BidiMethod>(binding, method.localName));
      case "client_streaming":
        throw new Error(`${rpcName(method)}: client streaming is not in the contract`);
    }
  }

  /** An encoded method is handed bytes and returns an EncodedMessage, which the definition lets through. */
  #unaryMethod(binding: ServiceBinding, localName: string): UnaryMethod {
    const encoded = binding.encoded[localName];
    if (encoded === undefined) return methodOf<UnaryMethod>(binding, localName);
    return (request, call) => encoded(request as Buffer, call);
  }

  #unary({ rpc, telemetry }: ServedMethod, method: UnaryMethod): UntypedHandleCall {
    return async (call: ServerUnaryCall<unknown, unknown>, callback: sendUnaryData<unknown>) => {
      this.#begin();
      const startedAtMs = performance.now();
      const peer = this.#peerOf(call);
      const context = new GrpcCallContext(call, telemetry, peer);
      try {
        this.#gate?.demandAllowed(peer, rpc);
        refuseLateCall(context.deadlineMs);
        const response = await method(call.request, context);
        telemetry.answered(startedAtMs, context.trace);
        callback(null, response);
      } catch (cause) {
        const rejection = rejectionOf(cause, rpc, this.#log, call.cancelled);
        telemetry.answered(startedAtMs, context.trace, rejection);
        callback(rejectionStatus(rejection));
      } finally {
        this.#end();
      }
    };
  }

  #serverStream(served: ServedMethod, method: ServerStreamMethod): UntypedHandleCall {
    return (call: ServerWritableStream<unknown, unknown>) =>
      // One response on its way at a time: a slow reader of a stream of frames is given the latest, not a backlog.
      this.#answer(served, call, 1, (context) => method(call.request, context));
  }

  #bidi(served: ServedMethod, method: BidiMethod): UntypedHandleCall {
    return (call: ReadableCall) => {
      const requests = new MessageReader<unknown>(call, cancelled);
      return this.#answer(served, call, unsentMax, (context) => method(requests, context));
    };
  }

  /** Pulls responses as fast as the caller takes them. */
  async #answer(
    { rpc, telemetry }: ServedMethod,
    call: WritableCall,
    windowMax: number,
    open: (context: GrpcCallContext) => AsyncIterable<unknown>,
  ): Promise<void> {
    this.#begin();
    const window = new WriteWindow(call, windowMax);
    const startedAtMs = performance.now();
    const peer = this.#peerOf(call);
    const context = new GrpcCallContext(call, telemetry, peer);
    let denial: RejectionError | undefined;
    let stopWatching: (() => void) | undefined;
    const departure = new Departure((leave) => {
      call.once("cancelled", leave);
      call.once("close", leave);
      stopWatching = this.#gate?.watch(peer, (because) => {
        denial = because;
        leave();
      });
    });
    let responses: AsyncIterator<unknown> | undefined;
    let rejection: RejectionError | undefined;
    try {
      this.#gate?.demandAllowed(peer, rpc);
      refuseLateCall(context.deadlineMs);
      responses = open(context)[Symbol.asyncIterator]();
      while (!call.cancelled) {
        const next = await departure.orGone(responses.next());
        if (next === undefined || next.done === true || call.cancelled) break;
        const room = window.write(next.value);
        if (room !== undefined) await departure.orGone(room);
        if (denial !== undefined) break;
      }
      if (denial !== undefined) throw denial;
      call.end();
    } catch (cause) {
      // grpc-js takes the status of a stream from its error event, after what has been written.
      rejection = rejectionOf(cause, rpc, this.#log, call.cancelled);
      call.emit("error", rejectionStatus(rejection));
    } finally {
      telemetry.answered(startedAtMs, context.trace, rejection);
      stopWatching?.();
      if (denial !== undefined) context.abort();
      // Not awaited: an implementation that is stuck in a wait learns from call.signal.
      responses?.return?.()?.catch(() => {});
      this.#end();
    }
  }

  /** Undefined where nobody has an identity. */
  #peerOf(call: ServerUnaryCall<unknown, unknown> | WritableCall): SpiffeId | undefined {
    return this.#gate === undefined ? undefined : this.#listener.peerOf(call.getPeer());
  }

  #begin(): void {
    this.#activeCalls += 1;
  }

  #end(): void {
    this.#activeCalls -= 1;
    if (this.#activeCalls === 0) this.#onIdle?.();
  }
}

function rpcName(method: DescMethod & { readonly parent: DescService }): string {
  return `${method.parent.typeName}/${method.name}`;
}

function cancelled(): CallError {
  return new CallError("CANCELLED", "the caller went away");
}
