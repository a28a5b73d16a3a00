/** Connections of callers from outside end after some time: what that means for a client that knows nothing of us. */
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import type { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { VoteService as votes } from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { createClient } from "./grpc-client.ts";
import { bind, GrpcServer } from "./grpc-server.ts";
import type { ServiceImplementation } from "./service-call.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const ageMs = 200;

/** Answers after a while, so that calls are under way whenever a connection ends. */
const implementation: ServiceImplementation<typeof VoteService> = {
  async castVote() {
    await delay(20);
    return {};
  },
  async castVoteBatch() {
    throw new RejectionError("OVERLOADED");
  },
  async *castVotes(requests) {
    for await (const { sequence } of requests) yield { sequence };
  },
  async getReceipt() {
    throw new RejectionError("NOT_FOUND");
  },
};

async function start(graceMs: number): Promise<string> {
  const server = new GrpcServer([bind(votes, implementation)], {
    connectionAge: { ageMs, graceMs, idleMs: 60_000 },
  });
  const { port } = await server.listen("127.0.0.1:0");
  closers.push(() => server.close(0));
  return `127.0.0.1:${port}`;
}

/** The same server through an address that counts who connects. */
async function counted(address: string): Promise<{ address: string; connections: () => number }> {
  let connections = 0;
  const proxy = createServer((socket) => {
    connections += 1;
    const onward = connect(Number(address.split(":")[1]), "127.0.0.1");
    for (const end of [socket, onward]) end.on("error", () => {});
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  closers.push(() => void proxy.close());
  const { port } = proxy.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, connections: () => connections };
}

test("a stock grpc-js client loses no call when its connections reach their age", async () => {
  const { address, connections } = await counted(await start(10_000));
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  closers.push(() => client.close());
  const sameBytes = (bytes: Buffer) => bytes;
  const call = () =>
    new Promise<string>((resolve) => {
      const path = "/urna.v1.VoteService/CastVote";
      const options = { deadline: Date.now() + 20_000 };
      client.makeUnaryRequest(path, sameBytes, sameBytes, Buffer.alloc(0), new Metadata(), options, (error) =>
        resolve(error === null ? "OK" : error.message),
      );
    });
  const caller = async () => {
    const told: string[] = [];
    for (const untilMs = performance.now() + 8 * ageMs; performance.now() < untilMs; ) told.push(await call());
    return told;
  };
  const told = (await Promise.all(Array.from({ length: 20 }, caller))).flat();
  expect(new Set(told)).toEqual(new Set(["OK"]));
  expect(told.length).toBeGreaterThan(100);
  expect(connections()).toBeGreaterThan(2);
});

test("a stream that is under way when its connection ends goes on within the grace", async () => {
  const client = createClient(votes, await start(20_000));
  closers.push(() => client.close());
  const stream = client.castVotes();
  const responses = stream.responses[Symbol.asyncIterator]();
  for (let sequence = 1n; sequence <= 10n; sequence++) {
    stream.send({ sequence });
    expect((await responses.next()).value).toMatchObject({ sequence });
    await delay(ageMs / 4);
  }
  stream.end();
  expect((await responses.next()).done).toBe(true);
});

test("beyond the grace it is cut, and the next one is on another connection", async () => {
  const client = createClient(votes, await start(100));
  closers.push(() => client.close());
  const cut = client.castVotes();
  cut.send({ sequence: 1n });
  const read = async () => {
    for await (const _ of cut.responses);
  };
  await expect(read()).rejects.toMatchObject({ name: "CallError" });
  const next = client.castVotes();
  next.send({ sequence: 2n });
  next.end();
  for await (const { sequence } of next.responses) expect(sequence).toBe(2n);
});
