import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, expect, test } from "vitest";
import { CallError } from "#mesh/call-error.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { EncodedMessage } from "#mesh/service-call.ts";
import { TallyService, WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { requestBytesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const votes: ServiceImplementation<typeof VoteService> = {
  async castVote({ vote }) {
    if (vote?.electionId === "broken") throw new Error("the cause holds a secret");
    if (vote?.electionId !== "e") throw new RejectionError("UNKNOWN_ELECTION", "no such election", 40);
    return { receipt: { receiptId: "r", leafIndex: 7n }, repeat: true };
  },
  async castVoteBatch({ votes }) {
    return { outcomes: votes.map(() => ({ repeat: true })) };
  },
  async *castVotes(requests) {
    for await (const { sequence } of requests) yield { sequence };
  },
  async getReceipt() {
    throw new RejectionError("NOT_FOUND");
  },
};

async function start(implementation = votes) {
  const server = new GrpcServer([bind(VoteService, implementation)]);
  const { port } = await server.listen("127.0.0.1:0");
  const client = createClient(VoteService, `127.0.0.1:${port}`);
  closers.push(
    () => server.close(0),
    () => client.close(),
  );
  return { server, client, port };
}

test("a unary call carries its response", async () => {
  const { client } = await start();
  const response = await client.castVote({ vote: { electionId: "e" } }, { deadlineMs: 5_000 });
  expect(response.receipt?.leafIndex).toBe(7n);
  expect(response.repeat).toBe(true);
});

test("a rejection arrives with its reason, message and time to wait", async () => {
  const { client } = await start();
  const error = await client.castVote({ vote: { electionId: "x" } }).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(RejectionError);
  expect(error).toMatchObject({ reason: "UNKNOWN_ELECTION", message: "no such election", retryAfterMs: 40 });
});

test("an unknown cause becomes INTERNAL and stays off the wire", async () => {
  const { client } = await start();
  const error = await client.castVote({ vote: { electionId: "broken" } }).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ reason: "INTERNAL" });
  expect(JSON.stringify(error) + String(error)).not.toContain("secret");
});

test("a message over the limit is refused as INVALID_REQUEST", async () => {
  const { client } = await start();
  const idempotencyKey = new Uint8Array(requestBytesMax + 1);
  const error = await client.castVote({ vote: { electionId: "e", idempotencyKey } }).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ reason: "INVALID_REQUEST" });
});

test("a bidirectional stream answers every message in order and ends with its caller", async () => {
  const { client } = await start();
  const call = client.castVotes();
  const count = 5_000;
  for (let i = 0; i < count; i++) call.send({ sequence: BigInt(i) });
  call.end();
  const sequences: bigint[] = [];
  for await (const { sequence } of call.responses) sequences.push(sequence);
  expect(sequences).toEqual(Array.from({ length: count }, (_, i) => BigInt(i)));
});

test("a server stream takes messages that are encoded already, and its rejection comes after them", async () => {
  const bytes = toBinary(WatchTallyResponseSchema, create(WatchTallyResponseSchema, { electionId: "e" }));
  const tally = {
    async *watchTally() {
      yield new EncodedMessage(bytes);
      yield { electionId: "f" };
      throw new RejectionError("TALLY_UNAVAILABLE");
    },
  } as unknown as ServiceImplementation<typeof TallyService>;
  const server = new GrpcServer([bind(TallyService, { ...refusals, ...tally })]);
  const { port } = await server.listen("127.0.0.1:0");
  const client = createClient(TallyService, `127.0.0.1:${port}`);
  closers.push(
    () => server.close(0),
    () => client.close(),
  );
  const seen: string[] = [];
  const read = async () => {
    for await (const { electionId } of client.watchTally({ electionId: "e" })) seen.push(electionId);
  };
  await expect(read()).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
  expect(seen).toEqual(["e", "f"]);
});

test("a slow reader gets the messages that it had taken in before a failure, then the failure", async () => {
  // Fewer than a reader takes in before it pauses its stream: of what lies beyond, grpc-js lets a failure overtake.
  const count = 50n;
  const { client } = await start({
    ...votes,
    async *castVotes() {
      for (let sequence = 0n; sequence < count; sequence++) yield { sequence };
      throw new RejectionError("OVERLOADED");
    },
  });
  const responses = client.castVotes().responses[Symbol.asyncIterator]();
  const seen: bigint[] = [];
  const read = async () => {
    for (let next = await responses.next(); next.done !== true; next = await responses.next()) {
      seen.push(next.value.sequence);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await expect(read()).rejects.toMatchObject({ reason: "OVERLOADED" });
  expect(seen).toEqual(Array.from({ length: Number(count) }, (_, i) => BigInt(i)));
});

test("a caller that cancels aborts the call's signal", async () => {
  const cancelled = Promise.withResolvers<void>();
  const { client } = await start({
    ...votes,
    castVote(_request, call) {
      call.signal.addEventListener("abort", () => cancelled.resolve());
      controller.abort();
      return new Promise(() => {});
    },
  });
  const controller = new AbortController();
  const failure = await client
    .castVote({ vote: { electionId: "e" } }, { signal: controller.signal })
    .catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(CallError);
  expect(failure).toMatchObject({ code: "CANCELLED" });
  await cancelled.promise;
});

test("a server that is closed cuts what is still running, and its callers learn it at once", async () => {
  const { client, server } = await start();
  const call = client.castVotes();
  call.send({ sequence: 1n });
  const responses = call.responses[Symbol.asyncIterator]();
  await responses.next();
  await server.close(10);
  await expect(responses.next()).rejects.toBeInstanceOf(CallError);
});

test("a server that is away is a CallError UNAVAILABLE", async () => {
  const { client, server } = await start();
  await server.close(0);
  const failure = await client.castVote({}, { deadlineMs: 2_000 }).catch((cause: unknown) => cause);
  expect(failure).toMatchObject({ code: "UNAVAILABLE" });
});

test("calls of a client that is closed fail; none throws where nobody looks", async () => {
  const { client } = await start();
  client.close();
  await expect(client.castVote({})).rejects.toThrow();
  const call = client.castVotes();
  call.send({ sequence: 1n });
  call.end();
  await expect(call.responses[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

const refusals: ServiceImplementation<typeof TallyService> = {
  getTally: () => Promise.reject(new RejectionError("NOT_FOUND")),
  getTallyTable: refuse,
  watchTally: refuse,
  recount: refuse,
};

// biome-ignore lint/correctness/useYield: it refuses before its first message.
async function* refuse(): AsyncGenerator<never> {
  throw new RejectionError("NOT_FOUND");
}
