/** What strangers send to a gRPC server: raw HTTP/2, so that nothing on this side is helped by a client library. */
import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2";
import { connect, constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { afterEach, expect, test } from "vitest";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { HealthProbe } from "#mesh/health-probe.ts";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import { ErrorInfoSchema } from "#proto/generated/google/rpc/error_details_pb.js";
import { StatusSchema } from "#proto/generated/google/rpc/status_pb.js";
import { CastVoteRequestSchema, VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { requestBytesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

let handlerCalls = 0;
let onCall: (call: CallContext) => Promise<void> = async () => {};

const votes: ServiceImplementation<typeof VoteService> = {
  async castVote(_request, call) {
    handlerCalls += 1;
    await onCall(call);
    return { repeat: true };
  },
  async castVoteBatch() {
    return {};
  },
  async *castVotes(requests) {
    for await (const { sequence } of requests) yield { sequence };
  },
  async getReceipt() {
    throw new RejectionError("NOT_FOUND");
  },
};

async function start() {
  handlerCalls = 0;
  onCall = async () => {};
  const server = new GrpcServer([bind(VoteService, votes)]);
  const { port } = await server.listen("127.0.0.1:0");
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  closers.push(
    () => server.close(0),
    () => session.destroy(),
  );
  return { server, port, session };
}

function framed(message: Uint8Array, compressed = false, declaredBytes = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(declaredBytes, 1);
  return Buffer.concat([head, message]);
}

/** The status of one call whose request body is `body`. */
async function statusOf(
  session: ClientHttp2Session,
  body: Buffer,
  headers: Record<string, string> = {},
  method = "CastVote",
) {
  const stream = session.request({
    ":method": "POST",
    ":path": `/urna.v1.VoteService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  const seen: IncomingHttpHeaders = {};
  stream.on("response", (got) => Object.assign(seen, got));
  stream.on("trailers", (got) => Object.assign(seen, got));
  stream.on("error", () => {});
  stream.resume();
  stream.end(body);
  await new Promise((resolve) => stream.on("close", resolve));
  const details = seen["grpc-status-details-bin"];
  const status = typeof details === "string" ? fromBinary(StatusSchema, Buffer.from(details, "base64")) : undefined;
  const info = status?.details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((found) => found !== undefined);
  return { code: Number(seen["grpc-status"]), http: seen[":status"], reason: info?.reason };
}

const good = toBinary(CastVoteRequestSchema, create(CastVoteRequestSchema, { vote: { electionId: "e" } }));
const refused: [string, Buffer, Record<string, string>][] = [
  ["truncated protobuf", framed(good.subarray(0, 3)), {}],
  ["bytes that are no protobuf", framed(Buffer.from([0xff, 0xff, 0xff, 0xff])), {}],
  ["text that is no UTF-8", framed(Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe])), {}],
  ["a message over the limit", framed(Buffer.alloc(requestBytesMax + 1)), {}],
  ["a message that claims to be 4 GB", framed(Buffer.alloc(10), false, 0xffff_ffff), {}],
  ["a message that is not compressed as it says", framed(good, true), { "grpc-encoding": "gzip" }],
  [
    "a message that decompresses to too much",
    framed(gzipSync(Buffer.alloc(64_000_000)), true),
    { "grpc-encoding": "gzip" },
  ],
  ["an unknown compression", framed(good, true), { "grpc-encoding": "brotli" }],
  ["no message at all", Buffer.alloc(0), {}],
  ["two messages for a unary call", Buffer.concat([framed(good), framed(good)]), {}],
  ["a timeout that is no time", framed(good), { "grpc-timeout": "soon" }],
];

for (const [title, body, headers] of refused) {
  test(`${title}: refused as INVALID_REQUEST, and the implementation never sees it`, async () => {
    const { session } = await start();
    expect(await statusOf(session, body, headers)).toMatchObject({ code: 3, reason: "INVALID_REQUEST" });
    expect(handlerCalls).toBe(0);
    expect(await statusOf(session, framed(good))).toMatchObject({ code: 0 });
  });
}

test("garbage in a stream ends it with INVALID_REQUEST", async () => {
  const { session } = await start();
  const status = await statusOf(session, framed(Buffer.from([0xff, 0xff])), {}, "CastVotes");
  expect(status).toMatchObject({ code: 3, reason: "INVALID_REQUEST" });
});

test("a wrong content type is refused by HTTP status", async () => {
  const { session } = await start();
  expect(await statusOf(session, framed(good), { "content-type": "text/plain" })).toMatchObject({ http: 415 });
});

test("a deadline that has passed on arrival stores nothing: DEADLINE_PASSED before the implementation", async () => {
  const { session } = await start();
  for (const timeout of ["1n", "1m", "15m"]) {
    const status = await statusOf(session, framed(good), { "grpc-timeout": timeout });
    expect(status.code).toBe(4);
    expect(["DEADLINE_PASSED", "OUTCOME_UNKNOWN"]).toContain(status.reason);
  }
  expect(handlerCalls).toBe(0);
});

test("a deadline that passes under way is OUTCOME_UNKNOWN, and aborts the call's signal", async () => {
  const { session } = await start();
  const aborted = Promise.withResolvers<void>();
  onCall = (call) => {
    call.signal.addEventListener("abort", () => aborted.resolve());
    return new Promise(() => {});
  };
  const status = await statusOf(session, framed(good), { "grpc-timeout": "60m" });
  expect(status).toMatchObject({ code: 4, reason: "OUTCOME_UNKNOWN" });
  await aborted.promise;
});

test("10,000 streams opened and reset leave the server up", async () => {
  const { port } = await start();
  let opened = 0;
  while (opened < 10_000) {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on("error", () => {});
    const closed = new Promise((resolve) => session.on("close", resolve));
    for (let i = 0; i < 500 && !session.destroyed; i++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/urna.v1.VoteService/CastVotes",
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => {});
      stream.write(framed(good));
      stream.close(constants.NGHTTP2_CANCEL);
      opened += 1;
    }
    session.close();
    await closed;
  }
  const client = createClient(VoteService, `127.0.0.1:${port}`);
  closers.push(() => client.close());
  expect(await client.castVote({}, { deadlineMs: 5_000 })).toMatchObject({ repeat: true });
}, 30_000);

test("health tells each service's state, and what nobody serves is not found", async () => {
  const { server, port, session } = await start();
  const probe = new HealthProbe(`127.0.0.1:${port}`);
  closers.push(() => probe.close());
  expect(await probe.isServing(VoteService.typeName, 2_000)).toBe(false);
  server.setServing(VoteService.typeName, true);
  expect(await probe.isServing(VoteService.typeName, 2_000)).toBe(true);
  expect(await probe.isServing("", 2_000)).toBe(false);
  expect(await probe.isServing("urna.v1.NoService", 2_000)).toBe(false);
  const path = { ":path": "/grpc.health.v1.Health/Check" };
  const nobody = Buffer.from("\n\x11urna.v1.NoService");
  expect(await statusOf(session, framed(nobody), path)).toMatchObject({ code: 5, reason: undefined });
});
