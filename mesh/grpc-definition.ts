/** grpc-js service definitions, derived from protobuf-es descriptors. */
import type { DescMessage, DescMethod, MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, isMessage, toBinary } from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import type { ServiceBinding } from "#mesh/service-call.ts";
import { EncodedMessage } from "#mesh/service-call.ts";

/** By the local name of each rpc, as implementations have it. A method that is in `encoded` is given its requests as bytes. */
export function grpcDefinition({ service, encoded }: Pick<ServiceBinding, "service" | "encoded">): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.localName, served(method, encoded)]));
}

function served(method: DescMethod, encoded: ServiceBinding["encoded"]): MethodDefinition<unknown, unknown> {
  const definition = grpcMethod(method);
  return encoded[method.localName] === undefined ? definition : { ...definition, requestDeserialize: asItCame };
}

export function grpcMethod(method: DescMethod): MethodDefinition<unknown, unknown> {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: serializer(method.input),
    requestDeserialize: deserializer(method.input),
    responseSerialize: serializer(method.output),
    responseDeserialize: deserializer(method.output),
    originalName: method.localName,
  };
}

function serializer(schema: DescMessage): (value: unknown) => Buffer {
  return (value) => {
    if (value instanceof EncodedMessage) return asBuffer(value.bytes);
    const message = isMessage(value, schema) ? value : create(schema, value as MessageInitShape<DescMessage>);
    return asBuffer(toBinary(schema, message, { writeUnknownFields: false }));
  };
}

function deserializer(schema: DescMessage): (bytes: Buffer) => unknown {
  return (bytes) => fromBinary(schema, bytes, { readUnknownFields: false });
}

/** For whoever reads messages from their bytes. */
export function asItCame(bytes: Buffer): Buffer {
  return bytes;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
