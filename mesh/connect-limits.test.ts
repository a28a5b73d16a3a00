/** What callers of the web address may not do to it (I9). */
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { ConnectServer } from "./connect-server.ts";

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(): Promise<number> {
  const server = new ConnectServer([], { fallback: (_request, response) => response.end("page") });
  const { port } = await server.listen("127.0.0.1:0");
  closers.push(() => server.close(0));
  return port;
}

/** All that the server says to these bytes. */
function answerTo(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(answer));
  });
}

test("headers beyond 16 KiB are refused, and those below are not", async () => {
  const port = await start();
  const request = (bytes: number) =>
    `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\nX-Long: ${"x".repeat(bytes)}\r\n\r\n`;
  expect(await answerTo(port, request(12 * 1024))).toMatch(/^HTTP\/1.1 200 /);
  expect(await answerTo(port, request(17 * 1024))).toMatch(/^HTTP\/1.1 431 /);
});
