import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodeFlags, ownNode } from "./own-node.ts";
import { isAlive } from "./process-identity.ts";
import { waitFor } from "./wait-for.ts";

const script = `
const { ProcessRig } = await import(${JSON.stringify(join(import.meta.dirname, "process-rig.ts"))});
const { LoggedProcess } = await import(${JSON.stringify(join(import.meta.dirname, "logged-process.ts"))});
const rig = await ProcessRig.open();
const supervisor = rig.supervise({
  name: "sleeper",
  logFile: rig.logFile("sleeper"),
  start: () => LoggedProcess.spawn("/bin/sleep", ["600"], { logFile: rig.logFile("sleeper"), environment: {} }),
  stop: (running) => running.stop(1_000),
});
await supervisor.start();
console.log(JSON.stringify({ root: rig.paths.root, pid: supervisor.running.pid }));
setInterval(() => {}, 60_000);
`;

test("what a test had started ends when the test is killed, also what it has frozen, and its folder goes", async () => {
  const killed = spawn(ownNode, [...nodeFlags, "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(killed.stdout, "data")) as [Buffer];
  const { root, pid } = JSON.parse(line.toString()) as { root: string; pid: number };
  process.kill(pid, "SIGSTOP");
  killed.kill("SIGKILL");
  await waitFor("the process to end", 30_000, () => !isAlive(pid) || undefined);
  await waitFor("the folder to go", 10_000, () => !existsSync(root) || undefined);
  expect(isAlive(pid)).toBe(false);
}, 60_000);
