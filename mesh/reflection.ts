/** Server reflection v1 (and v1alpha, which older tools ask first), fed from protobuf-es descriptors. */
import type { DescFile, DescService } from "@bufbuild/protobuf";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { healthDescriptor, healthServiceName } from "#mesh/health-descriptor.ts";
import { ErrorInfoSchema } from "#proto/generated/google/rpc/error_details_pb.js";

export function addReflection(server: Server, services: readonly DescService[]): void {
  const files = new Map<string, DescFile>();
  for (const { file } of services) collectFile(file, files);
  // Tools show the details of a refusal only when they can look up their types.
  collectFile(ErrorInfoSchema.file, files);
  const fileDescriptorProtos: Buffer[] = [...files.values()].map((file) =>
    Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
  );
  // Every server serves health beside its own services.
  fileDescriptorProtos.push(healthDescriptor());
  const names = [...services.map(({ typeName }) => typeName), healthServiceName];
  const definition = { urna: { format: "Protocol Buffer 3 DescriptorProto", type: {}, fileDescriptorProtos } };
  // Of a package definition the package reads nothing but the file descriptors.
  new ReflectionService(definition as ConstructorParameters<typeof ReflectionService>[0], {
    services: names,
  }).addToServer(server);
}

function collectFile(file: DescFile, files: Map<string, DescFile>): void {
  if (files.has(file.name)) return;
  files.set(file.name, file);
  for (const dependency of file.dependencies) collectFile(dependency, files);
}
