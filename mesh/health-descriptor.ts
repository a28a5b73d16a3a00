/** The descriptor of grpc.health.v1, from the library that implements it, in the form that protobuf tools accept. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { DescriptorProto } from "@bufbuild/protobuf/wkt";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { service as healthService } from "grpc-health-check";

export const healthServiceName = "grpc.health.v1.Health";

/** A serialised FileDescriptorProto. */
export function healthDescriptor(): Buffer {
  const [bytes] = healthService["Check"]?.requestType.fileDescriptorProtos ?? [];
  if (bytes === undefined) throw new Error("grpc-health-check brings no descriptor");
  const file = fromBinary(FileDescriptorProtoSchema, bytes);
  for (const message of file.messageType) renameMapEntries(message);
  return Buffer.from(toBinary(FileDescriptorProtoSchema, file));
}

/** protobufjs calls the entry of a map after its field; descriptors must call it that with "Entry" at the end. */
function renameMapEntries(message: DescriptorProto): void {
  for (const entry of message.nestedType) {
    if (entry.options?.mapEntry !== true || entry.name.endsWith("Entry")) continue;
    const renamed = `${entry.name}Entry`;
    for (const field of message.field) if (field.typeName === entry.name) field.typeName = renamed;
    entry.name = renamed;
  }
}
