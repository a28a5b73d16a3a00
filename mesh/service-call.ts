/** What a service's implementation sees of a call, whichever transport it came by. */
import type {
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";

import type { TraceSpan } from "#mesh/tracing.ts";

export type CallContext = {
  /** Aborted when the caller went away, cancelled, or its deadline passed; also some time after the answer. */
  readonly signal: AbortSignal;
  /** Milliseconds that were left on arrival; undefined when the caller named no deadline. */
  readonly deadlineMs: number | undefined;
  /** The call's span, for the spans of what is done for it; undefined, nearly always, when it is not recorded. */
  readonly trace?: TraceSpan | undefined;
  /** The SPIFFE id of the caller's certificate; undefined where callers have none: in plaintext, and from browsers. */
  readonly peer: string | undefined;
  /** The first value of a request header (lower-case name). */
  header(name: string): string | undefined;
};

/** A response that is serialised already, so that one frame is encoded once for all of its readers. */
export class EncodedMessage {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** The parts of a service: one method an rpc. A response may be an initialiser, or pre-encoded. */
export type ServiceImplementation<S extends DescService> = {
  readonly [M in keyof S["method"]]: MethodImplementation<S["method"][M]>;
};

type MethodImplementation<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: CallContext) => Promise<MessageInitShape<O> | EncodedMessage>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: CallContext) => AsyncIterable<MessageInitShape<O> | EncodedMessage>
      : M extends DescMethodBiDiStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            call: CallContext,
          ) => AsyncIterable<MessageInitShape<O> | EncodedMessage>
        : never;

/**
 * A unary rpc that reads its request and writes its response itself, byte by byte: where one call carries a thousand items,
 * an object for each of them and of their fields is most of what the call costs.
 */
export type EncodedUnaryMethod = (request: Uint8Array, call: CallContext) => Promise<EncodedMessage>;

/** By the local names of unary rpcs. */
export type EncodedMethods<S extends DescService> = {
  readonly [M in keyof S["method"] as S["method"][M] extends DescMethodUnary ? M : never]?: EncodedUnaryMethod;
};

/** A service together with what implements it; made by `bind`, which checks the types. */
export type ServiceBinding = {
  readonly service: DescService;
  readonly implementation: Readonly<Record<string, unknown>>;
  readonly encoded: Readonly<Record<string, EncodedUnaryMethod | undefined>>;
};

/** `encoded` has the methods that `implementation` lacks. */
export function bind<S extends DescService, E extends EncodedMethods<S> = Record<never, never>>(
  service: S,
  implementation: Omit<ServiceImplementation<S>, keyof E>,
  encoded?: E,
): ServiceBinding {
  return { service, implementation: implementation as Readonly<Record<string, unknown>>, encoded: { ...encoded } };
}

/** The untyped forms that the servers call: `bind` has checked that they fit. */
export type UnaryMethod = (request: unknown, call: CallContext) => Promise<unknown>;
export type ServerStreamMethod = (request: unknown, call: CallContext) => AsyncIterable<unknown>;
export type BidiMethod = (requests: AsyncIterable<unknown>, call: CallContext) => AsyncIterable<unknown>;

/** The bound method of an rpc; its `this` is the implementation. */
export function methodOf<M extends UnaryMethod | ServerStreamMethod | BidiMethod>(
  binding: ServiceBinding,
  localName: string,
): M {
  const method = binding.implementation[localName];
  if (typeof method !== "function")
    throw new Error(`${binding.service.typeName} has no implementation of ${localName}`);
  return method.bind(binding.implementation) as M;
}
