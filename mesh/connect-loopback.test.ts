import { create, toBinary } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, expect, test } from "vitest";
import { ConnectServer } from "#mesh/connect-server.ts";
import { rejectionFromConnect } from "#mesh/rejection-status.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { bind, EncodedMessage } from "#mesh/service-call.ts";
import { TallyService, WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { requestBytesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const votes: ServiceImplementation<typeof VoteService> = {
  async castVote({ vote }) {
    if (vote?.electionId === "broken") throw new Error("the cause holds a secret");
    if (vote?.electionId !== "e") throw new RejectionError("UNKNOWN_ELECTION", "no such election", 40);
    return { receipt: { receiptId: "r" } };
  },
  async castVoteBatch() {
    return {};
  },
  async *castVotes() {
    yield {};
  },
  async getReceipt() {
    throw new RejectionError("NOT_FOUND");
  },
};

const frame = new EncodedMessage(
  toBinary(WatchTallyResponseSchema, create(WatchTallyResponseSchema, { electionId: "e" })),
);
const watchEnded = Promise.withResolvers<void>();
const tally: ServiceImplementation<typeof TallyService> = {
  getTally: () => Promise.reject(new RejectionError("NOT_FOUND")),
  getTallyTable: refuse,
  async *watchTally({ electionId }, call) {
    yield frame;
    yield { electionId: "f" };
    if (electionId === "endless") {
      call.signal.addEventListener("abort", () => watchEnded.resolve());
      await new Promise(() => {});
    }
    throw new RejectionError("TALLY_UNAVAILABLE");
  },
  recount: refuse,
};

// biome-ignore lint/correctness/useYield: it refuses before its first message.
async function* refuse(): AsyncGenerator<never> {
  throw new RejectionError("NOT_FOUND");
}

async function start() {
  const server = new ConnectServer([bind(VoteService, votes), bind(TallyService, tally)], {
    allowedOrigins: ["https://results.example"],
    fallback: (_request, response) => response.end("page"),
  });
  const { port } = await server.listen("127.0.0.1:0");
  closers.push(() => server.close(0));
  return `http://127.0.0.1:${port}`;
}

async function post(url: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}/urna.v1.VoteService/CastVote`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: body as BodyInit,
  });
  const json = await response.json();
  const debug = json.details?.[0];
  return { status: response.status, code: json.code, type: debug?.type, json };
}

test("JSON by plain HTTP is answered", async () => {
  const { status, json } = await post(await start(), '{"vote":{"electionId":"e"}}');
  expect(status).toBe(200);
  expect(json.receipt.receiptId).toBe("r");
});

const badRequests: [string, string | Uint8Array, Record<string, string>, number][] = [
  ["malformed JSON", '{"vote":', {}, 400],
  ["JSON with unknown fields", '{"vote":{"electionId":"e","colour":"red"}}', {}, 400],
  ["truncated protobuf", new Uint8Array([0x0a, 0x10, 0x01]), { "content-type": "application/proto" }, 400],
  ["a wrong content type", "hello", { "content-type": "text/plain" }, 415],
  ["a message over the limit", new Uint8Array(requestBytesMax + 1), { "content-type": "application/proto" }, 400],
  ["a timeout that is no number", "{}", { "connect-timeout-ms": "soon" }, 400],
];

for (const [title, body, headers, status] of badRequests) {
  test(`${title} is refused as INVALID_REQUEST`, async () => {
    const url = await start();
    const answer = await post(url, body, headers);
    expect(answer).toMatchObject({ status, code: "invalid_argument", type: "google.rpc.ErrorInfo" });
    expect(answer.json.details[0].debug).toMatchObject({ reason: "INVALID_REQUEST", domain: "urna.v1" });
  });
}

test("a page of a foreign origin cannot post, and one of a listed origin can", async () => {
  const url = await start();
  const foreign = await post(url, '{"vote":{"electionId":"e"}}', { origin: "https://evil.example" });
  expect(foreign).toMatchObject({ status: 403, code: "permission_denied" });
  const rebound = await post(url, '{"vote":{"electionId":"e"}}', { origin: "http://evil.example:80" });
  expect(rebound.status).toBe(403);
  const listed = await post(url, '{"vote":{"electionId":"e"}}', { origin: "https://results.example" });
  expect(listed.status).toBe(200);
  const own = await post(url, '{"vote":{"electionId":"e"}}', { origin: url });
  expect(own.status).toBe(200);
});

test("a preflight is answered for listed origins only", async () => {
  const url = `${await start()}/urna.v1.VoteService/CastVote`;
  const listed = await fetch(url, { method: "OPTIONS", headers: { origin: "https://results.example" } });
  expect(listed.status).toBe(204);
  expect(listed.headers.get("access-control-allow-origin")).toBe("https://results.example");
  const foreign = await fetch(url, { method: "OPTIONS", headers: { origin: "https://evil.example" } });
  expect(foreign.status).toBe(403);
  expect(foreign.headers.get("access-control-allow-origin")).toBe(null);
});

const transports = { Connect: createConnectTransport, "gRPC-Web": createGrpcWebTransport };

for (const [protocol, createTransport] of Object.entries(transports)) {
  test(`${protocol} carries a rejection with its reason and time to wait`, async () => {
    const client = createClient(VoteService, createTransport({ baseUrl: await start(), httpVersion: "1.1" }));
    const error = await client.castVote({ vote: { electionId: "x" } }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ConnectError);
    expect(rejectionFromConnect(error as ConnectError)).toMatchObject({
      reason: "UNKNOWN_ELECTION",
      message: "no such election",
      retryAfterMs: 40,
    });
  });

  test(`${protocol}: an unknown cause becomes INTERNAL and stays off the wire`, async () => {
    const client = createClient(VoteService, createTransport({ baseUrl: await start(), httpVersion: "1.1" }));
    const error = await client.castVote({ vote: { electionId: "broken" } }).catch((cause: unknown) => cause);
    expect(rejectionFromConnect(error as ConnectError)).toMatchObject({ reason: "INTERNAL" });
    expect(String(error)).not.toContain("secret");
  });

  test(`${protocol} streams messages, also encoded ones, then the rejection`, async () => {
    const client = createClient(TallyService, createTransport({ baseUrl: await start(), httpVersion: "1.1" }));
    const seen: string[] = [];
    const error = await (async () => {
      for await (const { electionId } of client.watchTally({ electionId: "e" })) seen.push(electionId);
    })().catch((cause: unknown) => cause);
    expect(seen).toEqual(["e", "f"]);
    expect(rejectionFromConnect(error as ConnectError)).toMatchObject({ reason: "TALLY_UNAVAILABLE" });
  });
}

test("gRPC-Web: a message over the limit is refused as INVALID_REQUEST", async () => {
  const transport = createGrpcWebTransport({ baseUrl: await start(), httpVersion: "1.1" });
  const client = createClient(VoteService, transport);
  const idempotencyKey = new Uint8Array(requestBytesMax + 1);
  const error = await client.castVote({ vote: { idempotencyKey } }).catch((cause: unknown) => cause);
  expect(rejectionFromConnect(error as ConnectError)).toMatchObject({ reason: "INVALID_REQUEST" });
});

test("a watcher that leaves aborts the call's signal", async () => {
  const client = createClient(TallyService, createConnectTransport({ baseUrl: await start(), httpVersion: "1.1" }));
  const leaving = new AbortController();
  const read = async () => {
    for await (const { electionId } of client.watchTally({ electionId: "endless" }, { signal: leaving.signal })) {
      if (electionId === "f") leaving.abort();
    }
  };
  await expect(read()).rejects.toBeInstanceOf(ConnectError);
  await watchEnded.promise;
});

test("what is no rpc goes to the fallback", async () => {
  const url = await start();
  expect(await (await fetch(url)).text()).toBe("page");
  const unknown = await fetch(`${url}/urna.v1.VoteService/Nope`, { method: "POST" });
  expect(unknown.status).toBe(404);
});

test("close ends streams that would never end", async () => {
  const server = new ConnectServer([bind(TallyService, tally)]);
  const { port } = await server.listen("127.0.0.1:0");
  const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "1.1" });
  const watch = createClient(TallyService, transport).watchTally({ electionId: "endless" })[Symbol.asyncIterator]();
  await watch.next();
  await watch.next();
  await server.close(10);
  await expect(watch.next()).rejects.toBeInstanceOf(ConnectError);
});
