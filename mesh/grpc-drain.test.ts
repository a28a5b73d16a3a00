/** How a server leaves, seen by a stock gRPC client: other servers take its calls, and none fails. */
import { toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function votes(
  castVote: ServiceImplementation<typeof VoteService>["castVote"],
): ServiceImplementation<typeof VoteService> {
  const none = () => Promise.reject(new Error("not part of this test"));
  async function* noStream(): AsyncGenerator<never> {}
  return { castVote, castVoteBatch: none, getReceipt: none, castVotes: noStream };
}

async function serve(implementation: ServiceImplementation<typeof VoteService>, port = 0) {
  const server = new GrpcServer([bind(VoteService, implementation)]);
  const listening = await server.listen(`127.0.0.1:${port}`);
  closers.push(() => server.close(0));
  return { server, port: listening.port };
}

test("a call under way when its server leaves gets its answer; nobody connects any more", async () => {
  const arrived = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const { server, port } = await serve(
    votes(async () => {
      arrived.resolve();
      await answer.promise;
      return { repeat: true };
    }),
  );
  const client = createClient(VoteService, `127.0.0.1:${port}`);
  closers.push(() => client.close());
  const call = client.castVote({ vote: {} }, { deadlineMs: 10_000 });
  await arrived.promise;
  await server.leave();
  const late = createClient(VoteService, `127.0.0.1:${port}`);
  closers.push(() => late.close());
  await expect(late.castVote({}, { deadlineMs: 5_000 })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  answer.resolve();
  expect(await call).toMatchObject({ repeat: true });
  await server.close(1_000);
});

test("two servers restarted in turn under a stock client that only waits for readiness: no call fails", async () => {
  const implementation = votes(async () => {
    await new Promise((resolve) => setTimeout(resolve, 10 * Math.random()));
    return {};
  });
  const servers = [await serve(implementation), await serve(implementation)];
  const client = new Client(
    `ipv4:${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
    credentials.createInsecure(),
    {
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 200,
      "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }], methodConfig: [] }),
    },
  );
  closers.push(() => client.close());
  const failures: string[] = [];
  let answered = 0;
  const request = Buffer.from(toBinary(VoteService.method.castVote.input, { $typeName: "urna.v1.CastVoteRequest" }));
  const path = `/${VoteService.typeName}/CastVote`;
  const bytes = (message: Buffer) => message;
  const cast = () =>
    new Promise<void>((resolve) => {
      const metadata = new Metadata({ waitForReady: true });
      client.makeUnaryRequest(path, bytes, bytes, request, metadata, { deadline: Date.now() + 10_000 }, (error) => {
        if (error === null) answered++;
        else failures.push(error.message);
        resolve();
      });
    });
  let stopped = false;
  const workers = Array.from({ length: 20 }, async () => {
    while (!stopped) await cast();
  });
  for (let turn = 0; turn < 4; turn++) {
    const [at, before] = [turn % 2, answered];
    while (answered < before + 100) await cast();
    const left = servers[at] as (typeof servers)[number];
    await left.server.leave();
    await left.server.close(2_000);
    servers[at] = await serve(implementation, left.port);
  }
  stopped = true;
  await Promise.all(workers);
  expect(failures).toEqual([]);
}, 30_000);
