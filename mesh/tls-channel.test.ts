import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import { createSecureContext } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { TlsChannelCredentials } from "#mesh/tls-channel.ts";

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

test("a server that takes the connection and says nothing is given up", async () => {
  const taken: Socket[] = [];
  const server = createServer((socket) => taken.push(socket.on("error", () => {}).resume()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(
    () => server.close(),
    () => taken.forEach((socket) => void socket.destroy()),
  );
  const { port } = server.address() as { port: number };
  const identity = {
    spiffeId: { deployment: "test-mesh", kind: "client", name: "booth" },
    clientContext: createSecureContext(),
    validity: "",
  } as const;
  const channel = new TlsChannelCredentials(() => identity, ["router"], 200);
  const socket = connect(port, "127.0.0.1");
  const connector = channel._createSecureConnector({ path: "" }, {});
  await expect(connector.connect(socket)).rejects.toThrow("TLS: the server said nothing within 200 ms");
  expect(socket.destroyed).toBe(true);
});
