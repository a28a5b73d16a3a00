/**
 * Clients on grpc-js, typed by protobuf-es descriptors. A failure is a RejectionError when the server sent one of our
 * rejections, else a CallError. Every client has its own connection.
 */
import type { Readable } from "node:stream";
import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { credentials, Client as GrpcClient, Metadata } from "@grpc/grpc-js";
import { CallError, callErrorCode } from "#mesh/call-error.ts";
import { serversOf } from "#mesh/call-permissions.ts";
import { clientSpan, endWithCall } from "#mesh/client-span.ts";
import { channelOptions } from "#mesh/grpc-channel.ts";
import { grpcMethod } from "#mesh/grpc-definition.ts";
import type { Identity } from "#mesh/identity.ts";
import { MessageReader } from "#mesh/message-reader.ts";
import { rejectionFromStatus } from "#mesh/rejection-status.ts";
import { isRepeatable } from "#mesh/repeatable-call.ts";
import type { RetryBudget } from "#mesh/retry-budget.ts";
import { retryingCall } from "#mesh/retrying-call.ts";
import type { EncodedMessage } from "#mesh/service-call.ts";
import type { TraceSpan } from "#mesh/tracing.ts";

export type CallOptions = {
  /** Milliseconds from now; without it the call waits for ever. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the call that this one is made for. */
  readonly trace?: TraceSpan | undefined;
};

export type BidiCall<Request, Response> = {
  /** False when the stream's buffer is full: wait for `drained` before sending much more. */
  send(message: Request | EncodedMessage): boolean;
  /** Resolves when there is room again, or the call has ended. */
  drained(): Promise<void>;
  /** No more requests. */
  end(): void;
  cancel(): void;
  readonly responses: AsyncIterable<Response>;
};

export type BidiMethodClient<Request, Response> = {
  (options?: CallOptions): BidiCall<Request, Response>;
  /** Responses as `decode` makes them of their bytes. */
  <Decoded>(options: CallOptions, decode: (bytes: Buffer) => Decoded): BidiCall<Request, Decoded>;
};

export type Client<S extends DescService> = {
  readonly [M in keyof S["method"]]: MethodClient<S["method"][M]>;
} & { close(): void };

type MethodClient<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodBiDiStreaming<infer I, infer O>
        ? BidiMethodClient<MessageInitShape<I>, MessageShape<O>>
        : never;

export type ClientOptions = {
  /** Unary calls are made again within this budget, where that helps and does no harm. Default: never, the caller sees to it. */
  readonly retry?: RetryBudget;
};

/** Connects when the first call needs it; in plaintext without an identity. */
export function createClient<S extends DescService>(
  service: S,
  address: string,
  identity?: Identity,
  { retry }: ClientOptions = {},
): Client<S> {
  const secured = identity?.channelCredentials(serversOf(service));
  const channel = new GrpcClient(address, secured ?? credentials.createInsecure(), channelOptions);
  const methods = service.methods.map((method) => [method.localName, methodClient(channel, method, retry)]);
  return { ...Object.fromEntries(methods), close: () => channel.close() } as Client<S>;
}

function methodClient(channel: GrpcClient, method: DescMethod, retry: RetryBudget | undefined): unknown {
  switch (method.methodKind) {
    case "unary":
      return retry === undefined ? unaryClient(channel, method) : retriedClient(channel, method, retry);
    case "server_streaming":
      return serverStreamClient(channel, method);
    case "bidi_streaming":
      return bidiClient(channel, method);
    case "client_streaming":
      throw new Error(`${method.name}: client streaming is not in the contract`);
  }
}

function unaryClient(channel: GrpcClient, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
  return (request: unknown, options: CallOptions = {}) =>
    new Promise<unknown>((resolve, reject) => {
      const metadata = metadataOf(options);
      const span = clientSpan(options.trace, method, metadata);
      // Throws, and so rejects, when the client has been closed.
      const call = channel.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        deadlineOf(options),
        (error, response) => {
          stopListening();
          if (error === null) resolve(response);
          else reject(failureOf(error));
        },
      );
      endWithCall(span, call);
      const stopListening = cancelOn(options.signal, () => call.cancel());
    });
}

function retriedClient(channel: GrpcClient, method: DescMethod, budget: RetryBudget) {
  const call = unaryClient(channel, method);
  return (request: unknown, options: CallOptions = {}) =>
    retryingCall({
      attempt: (leftMs) => call(request, leftMs === undefined ? options : { ...options, deadlineMs: leftMs }),
      deadlineMs: options.deadlineMs,
      signal: options.signal,
      repeatable: isRepeatable(method, request),
      budget,
    });
}

function serverStreamClient(channel: GrpcClient, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
  return (request: unknown, options: CallOptions = {}): AsyncIterable<unknown> => {
    const metadata = metadataOf(options);
    const span = clientSpan(options.trace, method, metadata);
    const call = opened(() =>
      channel.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        deadlineOf(options),
      ),
    );
    if (call === undefined) return closedResponses();
    endWithCall(span, call);
    return responsesOf(call, options);
  };
}

function bidiClient(channel: GrpcClient, method: DescMethod) {
  const { path, requestSerialize, responseDeserialize } = grpcMethod(method);
  return (options: CallOptions = {}, decode = responseDeserialize): BidiCall<unknown, unknown> => {
    const metadata = metadataOf(options);
    const span = clientSpan(options.trace, method, metadata);
    const call = opened(() =>
      channel.makeBidiStreamRequest(path, requestSerialize, decode, metadata, deadlineOf(options)),
    );
    if (call === undefined) return closedCall;
    endWithCall(span, call);
    return {
      send: (message) => call.write(message),
      drained: () => drainedOf(call),
      end: () => call.end(),
      cancel: () => call.cancel(),
      responses: responsesOf(call, options),
    };
  };
}

/** Undefined when the client has been closed: grpc-js throws then, where callers expect a call that fails. */
function opened<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}

const closedCall: BidiCall<unknown, unknown> = {
  send: () => true,
  drained: () => Promise.resolve(),
  end: () => {},
  cancel: () => {},
  get responses() {
    return closedResponses();
  },
};

// biome-ignore lint/correctness/useYield: it fails before its first message.
async function* closedResponses(): AsyncGenerator<never, undefined> {
  throw new CallError("UNAVAILABLE", "the client is closed");
}

function responsesOf(call: Readable & { cancel(): void }, { signal }: CallOptions): AsyncGenerator<unknown, undefined> {
  const reader = new MessageReader<unknown>(call, failureOf);
  call.once(
    "status",
    cancelOn(signal, () => call.cancel()),
  );
  return readThenCancel(reader, () => call.cancel());
}

/** Cancels the call when its reader leaves early. */
async function* readThenCancel(reader: MessageReader<unknown>, cancel: () => void): AsyncGenerator<unknown, undefined> {
  try {
    for await (const message of reader) yield message;
  } finally {
    cancel();
  }
}

function drainedOf(call: ClientDuplexStream<unknown, unknown>): Promise<void> {
  if (!call.writableNeedDrain) return Promise.resolve();
  return new Promise((resolve) => {
    call.once("drain", () => resolve());
    call.once("status", () => resolve());
  });
}

function metadataOf({ headers }: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers ?? {})) metadata.set(name, value);
  return metadata;
}

function deadlineOf({ deadlineMs }: CallOptions): { deadline?: number } {
  return deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
}

/** Returns how to stop listening: a signal may outlive many calls. */
function cancelOn(signal: AbortSignal | undefined, cancel: () => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel, { once: true });
  return () => signal.removeEventListener("abort", cancel);
}

function failureOf(cause: unknown): Error {
  if (!isServiceError(cause)) return new CallError("UNAVAILABLE", "the stream was cut off");
  return rejectionFromStatus(cause) ?? new CallError(callErrorCode(cause.code), cause.details);
}

function isServiceError(cause: unknown): cause is ServiceError {
  return cause instanceof Error && "code" in cause && "details" in cause && "metadata" in cause;
}
