import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import type { DescriptorProto, FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { ClientDuplexStream, MethodDefinition } from "@grpc/grpc-js";
import { Client, credentials } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { expect, test } from "vitest";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";

type ReflectionAnswer = {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
};

/** Asks as grpcurl does: one stream, one answer a question. */
async function ask(port: number, questions: readonly object[]): Promise<ReflectionAnswer[]> {
  const root = dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json"));
  const loaded = loadSync(join(root, "build/proto/grpc/reflection/v1/reflection.proto"));
  const service = loaded["grpc.reflection.v1.ServerReflection"] as Record<string, MethodDefinition<object, object>>;
  const method = service["ServerReflectionInfo"];
  if (method === undefined) throw new Error("reflection has another shape than expected");
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const stream: ClientDuplexStream<object, ReflectionAnswer> = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize as (bytes: Buffer) => ReflectionAnswer,
  );
  for (const question of questions) stream.write(question);
  stream.end();
  const answers: ReflectionAnswer[] = [];
  for await (const answer of stream) answers.push(answer);
  client.close();
  return answers;
}

test("reflection lists our services and describes a method's messages, without any proto file", async () => {
  const unused = () => Promise.reject(new Error("unused"));
  const server = new GrpcServer([
    bind(VoteService, { castVote: unused, castVoteBatch: unused, getReceipt: unused, castVotes: nothing }),
  ]);
  const { port } = await server.listen("127.0.0.1:0");
  const [services, described] = await ask(port, [
    { listServices: "*" },
    { fileContainingSymbol: "urna.v1.VoteService" },
  ]);
  await server.close(0);
  expect(services?.listServicesResponse?.service.map(({ name }) => name)).toEqual([
    "urna.v1.VoteService",
    "grpc.health.v1.Health",
  ]);
  const files = (described?.fileDescriptorResponse?.fileDescriptorProto ?? []).map(
    (bytes): FileDescriptorProto => fromBinary(FileDescriptorProtoSchema, bytes),
  );
  const messages = files.flatMap(({ messageType }) => messageType.map(({ name }: DescriptorProto) => name));
  expect(messages).toEqual(expect.arrayContaining(["CastVoteRequest", "Vote", "Selection", "Outcome", "Duration"]));
});

async function* nothing(): AsyncGenerator<never> {}
