import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:tls";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CertificateRig } from "#deploy/certificate-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Intentions } from "#mesh/intentions.ts";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import type { ServiceImplementation } from "#mesh/service-call.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";

// Also on a machine that is busy with other things.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const limitMs = 20_000;
const closers: (() => Promise<void> | void)[] = [];
let rig: CertificateRig;

beforeEach(async () => {
  rig = await CertificateRig.open();
  closers.push(() => rig.close());
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const votes: ServiceImplementation<typeof VoteService> = {
  castVote: async () => ({ repeat: true }),
  castVoteBatch: async () => ({}),
  castVotes: async function* (requests) {
    for await (const { sequence } of requests) yield { sequence };
  },
  getReceipt: async () => ({}),
};

async function opened(files: TlsConfig, warnings: string[] = []): Promise<Identity> {
  const log = pino({ level: "warn" }, { write: (line: string) => warnings.push(line) });
  const identity = await openTlsIdentity(files, log);
  closers.push(() => identity.close());
  return identity;
}

async function served(identity: Identity, intentions?: Intentions): Promise<number> {
  const server = new GrpcServer([bind(VoteService, votes)], { identity, ...(intentions && { intentions }) });
  closers.push(() => server.close(0));
  return (await server.listen("127.0.0.1:0")).port;
}

function clientTo(port: number, identity: Identity) {
  const client = createClient(VoteService, `127.0.0.1:${port}`, identity);
  closers.push(() => client.close());
  return client;
}

/** The serial number of the certificate that the server shows to a new connection. */
async function serialShown(port: number, { secureContext }: Identity): Promise<string> {
  const noNames = { checkServerIdentity: () => undefined };
  const socket = connect({ port, host: "127.0.0.1", ...secureContext, ALPNProtocols: ["h2"], ...noNames });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

test("certificates are renewed under load several times: no call fails, a running stream goes on, new connections show the new ones", async () => {
  const server = await opened(await rig.files("router", "router-0"));
  const own = await opened(await rig.files("client", "booth"));
  const port = await served(server);
  const stream = clientTo(port, own).castVotes();
  const answers = stream.responses[Symbol.asyncIterator]();
  let [stopped, calls, sequence] = [false, 0, 0n];
  const load = Array.from({ length: 4 }, async () => {
    const steady = createClient(VoteService, `127.0.0.1:${port}`, own);
    while (!stopped) {
      await steady.castVote({}, { deadlineMs: limitMs });
      // And one by a new connection.
      const fresh = createClient(VoteService, `127.0.0.1:${port}`, own);
      await fresh.castVote({}, { deadlineMs: limitMs });
      fresh.close();
      calls += 2;
    }
    steady.close();
  });
  const watched = Promise.all(load);
  const shown = new Set([await serialShown(port, own)]);
  for (let turn = 0; turn < 4; turn++) {
    const renewals = [server, own].map((identity) => new Promise<void>((resolve) => identity.onRenewal(resolve)));
    await rig.files("router", "router-0");
    await rig.files("client", "booth");
    await Promise.all(renewals);
    shown.add(await serialShown(port, own));
    const before = calls;
    await Promise.race([watched, waitFor("more calls", limitMs, () => (calls > before + 8 ? true : undefined))]);
    stream.send({ sequence: ++sequence });
    expect((await answers.next()).value?.sequence).toBe(sequence);
  }
  expect(shown.size).toBe(5);
  stopped = true;
  await watched;
  stream.end();
});

test("bad files are refused with one line, and the last good certificate stays", async () => {
  const warnings: string[] = [];
  const files = await rig.files("client", "booth");
  const keyFile = `${files.certFile}.key`;
  writeFileSync(keyFile, readFileSync(files.keyFile));
  const own = await opened({ ...files, keyFile }, warnings);
  const port = await served(await opened(await rig.files("router", "router-0")));
  const other = await CertificateRig.open();
  closers.push(() => other.close());
  const good = readFileSync(files.certFile, "utf8");
  const lastWarning = async (count: number) => {
    await waitFor(`warning ${count}`, limitMs, () => (warnings.length >= count ? true : undefined));
    expect(warnings).toHaveLength(count);
    return warnings.at(-1);
  };
  writeFileSync(files.certFile, good.slice(0, good.length - 200));
  expect(await lastWarning(1)).toContain("ends within a certificate");
  expect(own.trouble).toContain("new certificates are refused");
  writeFileSync(files.certFile, (await rig.issue("client", "booth")).certificate);
  expect(await lastWarning(2)).toContain("holds another key than that of the certificate");
  rmSync(keyFile);
  expect(await lastWarning(3)).toContain("cannot be read");
  const put = ({ key, certificate }: { key: string; certificate: string }) => {
    writeFileSync(keyFile, key);
    writeFileSync(files.certFile, certificate);
  };
  put(await other.issue("client", "booth"));
  expect(await lastWarning(4)).toContain("was issued by another authority");
  put(await rig.issue("client", "booth", { notBefore: new Date(Date.now() - 7_200_000), lifeMs: 3_600_000 }));
  expect(await lastWarning(5)).toContain("has expired");
  put(await rig.issue("admin", "booth"));
  expect(await lastWarning(6)).toContain(
    "is of spiffe://test-mesh/admin/booth; this process is spiffe://test-mesh/client/booth",
  );
  put(await rig.authority.issueForHosts("host", ["localhost"]));
  expect(await lastWarning(7)).toContain("bears no SPIFFE id");
  await clientTo(port, own).castVote({}, { deadlineMs: limitMs });
  const renewed = new Promise<void>((resolve) => own.onRenewal(resolve));
  put(await rig.issue("client", "booth"));
  await renewed;
  expect(own.trouble).toBe("");
  expect(warnings).toHaveLength(7);
});

test("a certificate that nears its end and was not renewed is trouble, and so is one that has ended", async () => {
  const files = await rig.files("client", "booth", { lifeMs: 3_600_000 });
  let nowMs = Date.now();
  const warnings: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => warnings.push(line) });
  const own = await openTlsIdentity(files, log, () => nowMs);
  closers.push(() => own.close());
  expect(own.trouble).toBe("");
  expect(own.secondsLeft).toBeGreaterThan(3_500);
  nowMs += 50 * 60_000;
  expect(own.trouble).toMatch(/expires in \d+ s and was not renewed/);
  await waitFor("a warning", limitMs, () => (warnings.length > 0 ? true : undefined));
  expect(warnings[0]).toContain("the certificate nears its end and was not renewed");
  nowMs += 20 * 60_000;
  expect(own.trouble).toBe("the certificate has expired and was not renewed");
});

test("an identity is not opened from files that do not do, and the words name the file", async () => {
  const files = await rig.files("client", "booth");
  await expect(openTlsIdentity({ ...files, certFile: "/nowhere.pem" })).rejects.toThrow("/nowhere.pem cannot be read");
  await expect(openTlsIdentity({ ...files, keyFile: files.caFile })).rejects.toThrow("holds no private key");
  await expect(openTlsIdentity({ ...files, caFile: files.certFile })).rejects.toThrow("issued by another authority");
});

/** Intentions as a test wants them. */
class WrittenIntentions implements Intentions {
  readonly #listeners = new Set<() => void>();
  #denied = "";

  allows(source: string, destination: string): boolean {
    return `${source} ${destination}` !== this.#denied;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  deny(path: string): void {
    this.#denied = path;
    for (const listener of this.#listeners) listener();
  }
}

test("an intention that denies a path ends its running streams and refuses its calls; without it they are let in again", async () => {
  const intentions = new WrittenIntentions();
  const port = await served(await opened(await rig.files("router", "router-0")), intentions);
  const denied = clientTo(port, await opened(await rig.files("client", "booth")));
  const other = clientTo(port, await opened(await rig.files("admin", "ann")));
  const open = async (client: typeof denied) => {
    const call = client.castVotes({ deadlineMs: limitMs });
    const responses = call.responses[Symbol.asyncIterator]();
    call.send({ sequence: 1n });
    expect((await responses.next()).value?.sequence).toBe(1n);
    return { call, responses };
  };
  const [cut, kept] = [await open(denied), await open(other)];
  intentions.deny("urna-client urna-router");
  const refusal = {
    reason: "PERMISSION_DENIED",
    message: "an intention denies urna-client → urna-router: the path opens when it is deleted",
  };
  await expect(cut.responses.next()).rejects.toMatchObject(refusal);
  await expect(denied.castVote({}, { deadlineMs: limitMs })).rejects.toMatchObject(refusal);
  kept.call.send({ sequence: 2n });
  expect((await kept.responses.next()).value?.sequence).toBe(2n);
  intentions.deny("");
  const again = await open(denied);
  for (const { call } of [again, kept]) call.end();
});
