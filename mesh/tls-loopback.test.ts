import { connect as connectPlain } from "node:net";
import { connect } from "node:tls";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { CertificateRig } from "#deploy/certificate-rig.ts";
import { replaceFile } from "#deploy/file-writing.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { HealthProbe } from "#mesh/health-probe.ts";
import type { Identity } from "#mesh/identity.ts";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import type { IdentityKind } from "#mesh/spiffe-id.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

// Also on a machine that is busy with other things.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const deadlineMs = 10_000;
const hourMs = 3_600_000;
const closers: (() => Promise<void> | void)[] = [];
let rig: CertificateRig;
let stranger: CertificateRig;

beforeAll(async () => {
  rig = await CertificateRig.open();
  // Another authority that calls itself of the same deployment.
  stranger = await CertificateRig.open();
});

afterAll(() => {
  rig.close();
  stranger.close();
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const votes: ServiceImplementation<typeof VoteService> = {
  castVote: async (_request, call) => ({ receipt: { receiptId: call.peer ?? "nobody" } }),
  castVoteBatch: async () => ({}),
  castVotes: async function* (requests) {
    for await (const { sequence } of requests) yield { sequence };
  },
  getReceipt: () => Promise.reject(new RejectionError("NOT_FOUND")),
};

async function identityOf(files: TlsConfig, nowMs = Date.now): Promise<Identity> {
  const identity = await openTlsIdentity(files, undefined, nowMs);
  closers.push(() => identity.close());
  return identity;
}

async function identity(kind: IdentityKind, name: string): Promise<Identity> {
  return identityOf(await rig.files(kind, name));
}

/** A server of VoteService; `log` collects its warnings. */
async function serve(own: Identity | undefined, host = "127.0.0.1") {
  const log: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line: string) => log.push(JSON.parse(line).msg) });
  const server = new GrpcServer([bind(VoteService, votes)], { log: logger, identity: own });
  const { port } = await server.listen(`${host}:0`);
  closers.push(() => server.close(0));
  return { port, log };
}

function clientOf(port: number, own: Identity | undefined) {
  const client = createClient(VoteService, `127.0.0.1:${port}`, own);
  closers.push(() => client.close());
  return client;
}

test("both ends show who they are, and a call knows its caller", async () => {
  const { port } = await serve(await identity("router", "router-0"));
  const client = clientOf(port, await identity("client", "booth"));
  const { receipt } = await client.castVote({}, { deadlineMs });
  expect(receipt?.receiptId).toBe("spiffe://test-mesh/client/booth");
  const call = client.castVotes({ deadlineMs });
  call.send({ sequence: 7n });
  call.end();
  for await (const { sequence } of call.responses) expect(sequence).toBe(7n);
});

test("what a certificate may not call is refused, and the refusal says who may", async () => {
  const { port } = await serve(await identity("router", "router-0"));
  const shard = clientOf(port, await identity("shard", "shard-0-a"));
  await expect(shard.castVote({}, { deadlineMs })).rejects.toMatchObject({
    reason: "PERMISSION_DENIED",
    message:
      "spiffe://test-mesh/service/shard/shard-0-a may not call urna.v1.VoteService/CastVote: only client, admin may",
  });
  const stream = shard.castVotes({ deadlineMs });
  await expect(stream.responses[Symbol.asyncIterator]().next()).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
  // Health is for everybody of the deployment.
  const probe = new HealthProbe(`127.0.0.1:${port}`, await identity("shard", "shard-0-a"));
  closers.push(() => probe.close());
  await expect(probe.isServing("", deadlineMs)).resolves.toBe(false);
});

const yesterday = () => Date.now() - 24 * hourMs;
const tomorrow = () => Date.now() + 24 * hourMs;

/** Callers whose own files look good to them, and what the server's log says of them. */
const badCallers: [string, () => Promise<Identity>, string][] = [
  [
    "of another authority",
    async () => {
      const files = stranger.write("client", await stranger.issue("client", "booth"));
      replaceFile(`${files.certFile}.ca`, rig.authority.certificate + stranger.authority.certificate);
      return identityOf({ ...files, caFile: `${files.certFile}.ca` });
    },
    "URI:spiffe://test-mesh/client/booth) is of another authority",
  ],
  [
    "that has expired, by a caller whose clock is behind",
    async () => {
      const notBefore = new Date(Date.now() - 25 * hourMs);
      return identityOf(await rig.files("client", "late", { notBefore, lifeMs: 2 * hourMs }), yesterday);
    },
    "URI:spiffe://test-mesh/client/late) has expired at",
  ],
  [
    "that is not valid yet, by a caller whose clock is ahead",
    async () => identityOf(await rig.files("client", "early", { notBefore: new Date(tomorrow() - hourMs) }), tomorrow),
    "URI:spiffe://test-mesh/client/early) is not valid before",
  ],
];

for (const [title, caller, line] of badCallers) {
  test(`a certificate ${title} is refused: one line in the server's log, words at the caller`, async () => {
    const { port, log } = await serve(await identity("router", "router-0"));
    const own = await caller();
    const client = clientOf(port, own);
    const error = await client.castVote({}, { deadlineMs }).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "UNAVAILABLE" });
    expect(String(error)).toContain("refuses this process's certificate (spiffe://test-mesh/client/");
    await waitFor("the server's log", deadlineMs, () => (log.length > 0 ? true : undefined));
    await client.castVote({}, { deadlineMs: 2_000 }).catch(() => {});
    expect(log).toHaveLength(1);
    expect(log[0]).toContain("a connection was refused: ");
    expect(log[0]).toContain(line);
  });
}

test("a certificate without a SPIFFE id, one of another deployment, and none at all: each a line in the server's log", async () => {
  const { port, log } = await serve(await identity("router", "router-0"));
  const nameless = await rig.authority.issueForHosts("some-host", ["localhost"]);
  const foreign = await rig.issue("client", "booth", { deployment: "elsewhere" });
  for (const shown of [nameless, foreign, undefined]) {
    const own = shown === undefined ? {} : { key: shown.key, cert: shown.certificate };
    const anyName = { checkServerIdentity: () => undefined };
    const socket = connect({
      port,
      host: "127.0.0.1",
      ca: rig.authority.certificate,
      ALPNProtocols: ["h2"],
      ...own,
      ...anyName,
    });
    socket.on("error", () => {}).resume();
    await new Promise((resolve) => socket.once("close", resolve));
  }
  await waitFor("the server's log", deadlineMs, () => (log.length > 2 ? true : undefined));
  expect(log).toEqual([
    'a connection was refused: its certificate bears no SPIFFE id of ours, only "DNS:localhost"',
    "a connection was refused: it is of another deployment: spiffe://elsewhere/client/booth",
    "a connection was refused: it showed no certificate",
  ]);
});

test("a caller that speaks no TLS 1.3 is refused", async () => {
  const { port, log } = await serve(await identity("router", "router-0"));
  const { key, certificate: cert } = await rig.issue("client", "old");
  const old = connect({ port, host: "127.0.0.1", ca: rig.authority.certificate, key, cert, maxVersion: "TLSv1.2" });
  const error = await new Promise<Error>((resolve) => old.once("error", resolve));
  expect(error.message).toContain("alert");
  await waitFor("the server's log", deadlineMs, () => (log.length > 0 ? true : undefined));
  expect(log).toEqual(["a connection was refused: it does not speak TLS 1.3"]);
});

test("plaintext on a TLS port, and TLS on a plaintext port, are refused in words at both ends", async () => {
  const secured = await serve(await identity("router", "router-0"));
  await expect(clientOf(secured.port, undefined).castVote({}, { deadlineMs })).rejects.toMatchObject({
    code: "UNAVAILABLE",
  });
  await waitFor("the server's log", deadlineMs, () => (secured.log.length > 0 ? true : undefined));
  expect(secured.log).toEqual(["a connection was refused: it speaks plaintext, and this port is TLS"]);
  const plain = await serve(undefined);
  const error = await clientOf(plain.port, await identity("client", "booth"))
    .castVote({}, { deadlineMs })
    .catch((cause: unknown) => cause);
  expect(String(error)).toContain("perhaps its port is plaintext");
  await waitFor("the server's log", deadlineMs, () => (plain.log.length > 0 ? true : undefined));
  expect(plain.log).toEqual([
    "a connection was refused: it speaks TLS, and this process has no certificate: its port is plaintext",
  ]);
});

test("no session is resumed: each connection shows a certificate that is good now", async () => {
  const { port } = await serve(await identity("router", "router-0"));
  const { key, certificate: cert } = await rig.issue("client", "booth");
  const options = { port, host: "127.0.0.1", ca: rig.authority.certificate, key, cert, ALPNProtocols: ["h2"] };
  const again = async (session?: Buffer) => {
    const socket = connect({ ...options, ...(session && { session }), checkServerIdentity: () => undefined });
    let given: Buffer | undefined;
    socket.on("session", (ticket) => {
      given = ticket;
    });
    // HTTP/2 speaks first: by then a server that gives tickets has given one.
    await new Promise((resolve, reject) => socket.once("data", resolve).once("error", reject));
    const resumed = socket.isSessionReused();
    socket.destroy();
    return { given, resumed };
  };
  const { given } = await again();
  expect((await again(given)).resumed).toBe(false);
});

test("callers that leave without a word are no news; those that never say one are not kept", async () => {
  const { port, log } = await serve(await identity("router", "router-0"));
  const socket = connectPlain(port, "127.0.0.1");
  await new Promise<void>((resolve) => socket.once("connect", () => socket.end(resolve)));
  await new Promise((resolve) => socket.once("close", resolve));
  const client = clientOf(port, await identity("client", "booth"));
  await client.castVote({}, { deadlineMs });
  expect(log).toEqual([]);
});

// Elsewhere a machine has one loopback address.
if (process.platform !== "linux") console.log("tls-loopback: callers that share a port are skipped: this is no Linux");
test.skipIf(process.platform !== "linux")(
  "of two callers from one port the second is refused: who it is stays sure",
  async () => {
    const { port, log } = await serve(await identity("router", "router-0"), "0.0.0.0");
    const open = async (kind: IdentityKind, host: string, localPort?: number) => {
      const { key, certificate: cert } = await rig.issue(kind, "somebody");
      const socket = connectPlain({ port, host, localAddress: "127.0.0.1", ...(localPort && { localPort }) });
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      const options = { socket, key, cert, ca: rig.authority.certificate, ALPNProtocols: ["h2"] };
      const secured = connect({ ...options, checkServerIdentity: () => undefined }).resume();
      closers.push(() => void secured.destroy());
      const ended = new Promise((resolve) => secured.on("error", () => {}).once("close", resolve));
      return { localPort: socket.localPort ?? 0, secured, ended };
    };
    const operator = await open("operator", "127.0.0.1");
    await new Promise((resolve) => operator.secured.once("data", resolve));
    const client = await open("client", "127.0.0.2", operator.localPort);
    await client.ended;
    expect(log).toEqual([
      "a connection was refused: spiffe://test-mesh/operator/somebody is connected from the same port",
    ]);
    expect(operator.secured.destroyed).toBe(false);
  },
);

const badServers: [string, () => Promise<Identity>, string][] = [
  [
    "of another deployment",
    async () => identityOf(await rig.files("router", "router-x", { deployment: "elsewhere" })),
    "the server is of another deployment: spiffe://elsewhere/service/router/router-x",
  ],
  ["of another authority", async () => identityOf(await stranger.files("router", "router-0")), "another authority"],
  [
    "that is no router",
    () => identity("shard", "shard-0-a"),
    "is spiffe://test-mesh/service/shard/shard-0-a, not a router",
  ],
];

for (const [title, server, words] of badServers) {
  test(`a server ${title} is not believed, and the caller says why`, async () => {
    const { port } = await serve(await server());
    const client = clientOf(port, await identity("client", "booth"));
    const error = await client.castVote({}, { deadlineMs }).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "UNAVAILABLE" });
    expect(String(error)).toContain(words);
  });
}
