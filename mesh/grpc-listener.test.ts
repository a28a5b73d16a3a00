import type { Socket } from "node:net";
import { connect } from "node:net";
import { connect as connectSecurely } from "node:tls";
import { Server } from "@grpc/grpc-js";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { CertificateRig } from "#deploy/certificate-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { GrpcListener } from "#mesh/grpc-listener.ts";
import type { Identity } from "#mesh/identity.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const limitMs = 30_000;
const helloLimitMs = 200;
const everyMs = 50;
let rig: CertificateRig;
let identity: Identity;

beforeAll(async () => {
  rig = await CertificateRig.open();
  identity = await openTlsIdentity(await rig.files("router", "router-0"));
});

afterAll(() => {
  identity.close();
  rig.close();
});

/** A ClientHello that never ends. */
const hello = Buffer.concat([Buffer.from("1603010200010001fc0303", "hex"), Buffer.alloc(400)]);

const strangers: [string, (socket: Socket) => NodeJS.Timeout | undefined][] = [
  ["says nothing", () => undefined],
  ["begins a handshake and stops", (socket) => void socket.write(hello.subarray(0, 20))],
  [
    "sends its handshake byte by byte",
    (socket) => {
      let sent = 0;
      return setInterval(() => {
        sent += 1;
        if (socket.writable) socket.write(hello.subarray(sent - 1, sent));
      }, everyMs);
    },
  ],
];

for (const [title, speak] of strangers) {
  test(`a stranger that ${title} is not kept: it would take the place of a caller`, async () => {
    const listener = new GrpcListener(new Server(), identity, undefined, { helloLimitMs });
    const { port } = await listener.listen("127.0.0.1:0");
    const socket = connect(port, "127.0.0.1").resume();
    socket.on("error", () => {});
    const ticker = speak(socket);
    try {
      await waitFor("the end of its connection", limitMs, () => (socket.destroyed ? true : undefined));
      // Resolves once the server has no connection left.
      await listener.stop();
      expect(socket.destroyed).toBe(true);
    } finally {
      clearInterval(ticker);
      socket.destroy();
    }
  });
}

test("strangers with ever other names do not fill the log", async () => {
  const lines: string[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => lines.push(JSON.parse(line).msg) });
  const listener = new GrpcListener(new Server(), identity, log, { saidMax: 2 });
  const { port } = await listener.listen("127.0.0.1:0");
  for (const name of ["one", "two", "three"]) {
    const { key, certificate: cert } = await rig.authority.issueForHosts(name, [name]);
    const options = { port, host: "127.0.0.1", ca: rig.authority.certificate, key, cert, ALPNProtocols: ["h2"] };
    const socket = connectSecurely({ ...options, checkServerIdentity: () => undefined }).resume();
    await new Promise((resolve) => socket.on("error", () => {}).once("close", resolve));
  }
  await listener.stop();
  const refused = (name: string) =>
    `a connection was refused: its certificate bears no SPIFFE id of ours, only "DNS:${name}"`;
  expect(lines).toEqual([refused("one"), refused("two")]);
});
