/** The service config that docs/calls.md gives to other people's clients, in a stock grpc-js client, against our server. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import {
  CastVoteRequestSchema,
  CastVoteResponseSchema,
  VoteService,
} from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { bind, GrpcServer } from "./grpc-server.ts";
import { rejectionFromStatus } from "./rejection-status.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function documentedConfig(): string {
  const page = readFileSync(join(import.meta.dirname, "../docs/calls.md"), "utf8");
  const config = /```json\n([\s\S]*?)```/.exec(page)?.[1];
  if (config === undefined) throw new Error("docs/calls.md has no service config");
  return config;
}

/** A vote's fate at each try; the last one goes on. */
async function castWithStockClient(...fates: readonly (RejectionError | undefined)[]) {
  const triedAtMs: number[] = [];
  const unused = async () => {
    throw new RejectionError("INTERNAL");
  };
  const implementation = {
    async castVote() {
      const fate = fates[Math.min(triedAtMs.length, fates.length - 1)];
      triedAtMs.push(performance.now());
      if (fate !== undefined) throw fate;
      return { repeat: true };
    },
    castVoteBatch: unused,
    getReceipt: unused,
    async *castVotes() {
      yield {};
    },
  };
  const server = new GrpcServer([bind(VoteService, implementation)]);
  const { port } = await server.listen("127.0.0.1:0");
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.service_config": documentedConfig(),
    "grpc.use_local_subchannel_pool": 1,
  });
  closers.push(
    () => server.close(0),
    () => client.close(),
  );
  const told = await new Promise<boolean | string>((resolve) => {
    client.makeUnaryRequest(
      "/urna.v1.VoteService/CastVote",
      (message: object) => Buffer.from(toBinary(CastVoteRequestSchema, message as never)),
      (bytes: Buffer) => fromBinary(CastVoteResponseSchema, bytes),
      { $typeName: "urna.v1.CastVoteRequest" },
      new Metadata(),
      {},
      (error: ServiceError | null, response) =>
        resolve(error === null ? (response?.repeat ?? false) : (rejectionFromStatus(error)?.reason ?? error.details)),
    );
  });
  return { told, tries: triedAtMs.length, pausesMs: triedAtMs.slice(1).map((atMs, i) => atMs - (triedAtMs[i] ?? 0)) };
}

for (const reason of ["OVERLOADED", "SHARD_UNAVAILABLE"] as const) {
  test(`${reason}: a stock client tries again by itself, when the server says so and no sooner`, async () => {
    const { told, tries, pausesMs } = await castWithStockClient(
      new RejectionError(reason, undefined, 400),
      new RejectionError(reason, undefined, 10),
      undefined,
    );
    expect([told, tries]).toEqual([true, 3]);
    // Its own first pause would be at most 100 ms.
    expect(pausesMs[0]).toBeGreaterThanOrEqual(395);
  });
}

test("after five tries it is told what the last one was told, with our reason", async () => {
  const { told, tries } = await castWithStockClient(new RejectionError("SHARD_UNAVAILABLE", undefined, 5));
  expect([told, tries]).toEqual(["SHARD_UNAVAILABLE", 5]);
});

for (const reason of ["ALREADY_VOTED", "OUTCOME_UNKNOWN", "INVALID_BALLOT", "INTERNAL"] as const) {
  test(`${reason} is not repeated`, async () => {
    expect(await castWithStockClient(new RejectionError(reason))).toMatchObject({ told: reason, tries: 1 });
  });
}
