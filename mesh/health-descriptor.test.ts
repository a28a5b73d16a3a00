import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { healthDescriptor } from "#mesh/health-descriptor.ts";

test("reflection offers health in a form that grpcurl and ghz accept: map entries are named as descriptors must name them", () => {
  const file = fromBinary(FileDescriptorProtoSchema, healthDescriptor());
  const list = file.messageType.find(({ name }) => name === "HealthListResponse");
  expect(list?.nestedType.map(({ name }) => name)).toEqual(["StatusesEntry"]);
  expect(list?.field.map(({ name, typeName }) => [name, typeName])).toEqual([["statuses", "StatusesEntry"]]);
  expect(file.service.map(({ name }) => name)).toEqual(["Health"]);
});
