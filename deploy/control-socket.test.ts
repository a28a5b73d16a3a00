import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ControlClient, LauncherGoneError } from "./control-client.ts";
import type { ControlRequest } from "./control-protocol.ts";
import { ControlError } from "./control-protocol.ts";
import { ControlSocket } from "./control-socket.ts";

let folder: string;
let path: string;
let control: ControlSocket;
const asked: ControlRequest[] = [];
const said: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "urna-control-"));
  path = join(folder, "control.sock");
  // A launcher that was killed leaves its socket behind.
  writeFileSync(path, "");
  const handle = async (request: ControlRequest, progress: (line: string) => void) => {
    asked.push(request);
    if (request.kind === "release") throw new Error("the cause holds a secret");
    if (request.kind === "list") throw new ControlError("BUSY", "another restart is under way");
    progress("it drains");
    return { pid: 7 };
  };
  control = await ControlSocket.open(path, handle, (line) => said.push(line));
});

afterEach(async () => {
  await control.close();
  rmSync(folder, { recursive: true });
  asked.length = 0;
  said.length = 0;
});

test("a request is answered with its progress and its end; the socket is the user's own", async () => {
  expect(statSync(path).mode & 0o777).toBe(0o600);
  using client = await ControlClient.connect(path);
  const progress: string[] = [];
  expect(await client.restart("tally", (line) => progress.push(line))).toEqual({ pid: 7 });
  expect(progress).toEqual(["it drains"]);
  expect(asked).toEqual([{ kind: "restart", name: "tally" }]);
});

test("a refusal arrives with its reason, an unknown cause stays in the launcher", async () => {
  using client = await ControlClient.connect(path);
  await expect(client.list()).rejects.toMatchObject({ reason: "BUSY", message: "another restart is under way" });
  const failure = await client.release("/elsewhere").catch((cause: unknown) => cause);
  expect(failure).toMatchObject({ reason: "INTERNAL" });
  expect(String(failure)).not.toContain("secret");
  expect(said.join()).toContain("secret");
});

const garbage = [
  "nonsense",
  "",
  "[]",
  "7",
  "null",
  "{}",
  '{"restart":7}',
  '{"list":false}',
  '{"list":true,"restart":"tally"}',
];
for (const line of [...garbage, "x".repeat(200_000)]) {
  test(`refused in one line, and asked of nobody: ${line.slice(0, 40)}`, async () => {
    const socket = connect(path);
    socket.end(`${line}\n`);
    const answers = (await text(socket)).trimEnd().split("\n");
    expect(answers).toHaveLength(1);
    expect(JSON.parse(answers[0] ?? "")).toMatchObject({ error: { reason: "INVALID_REQUEST" } });
    expect(asked).toEqual([]);
  });
}

test("a launcher that ends is noticed, and that none is there", async () => {
  using client = await ControlClient.connect(path);
  await control.close();
  await expect(client.list()).rejects.toBeInstanceOf(LauncherGoneError);
  await expect(ControlClient.connect(path)).rejects.toBeInstanceOf(LauncherGoneError);
});
