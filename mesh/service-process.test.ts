import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const module = JSON.stringify(join(import.meta.dirname, "service-process.ts"));

/** A service whose drain says so on standard output, in a process of its own. */
function start(body: string): ChildProcess {
  const program = `
    import { runService } from ${module};
    await runService("test", async (life) => {
      ${body}
      console.log("opened");
      setInterval(() => {}, 1_000);
      return { drain: async () => console.log("drain called") };
    });`;
  return spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
}

async function run(body: string, once: (child: ChildProcess) => void = () => {}) {
  const child = start(body);
  let output = "";
  let told = false;
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    if (told || !output.includes("opened")) return;
    told = true;
    once(child);
  });
  const ended = new Promise((resolve) => child.stdout?.once("end", resolve));
  // Not "close", which a child that was disconnected from never emits.
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  await ended;
  return { code, drained: output.includes("drain called"), output };
}

test("SIGTERM drains the service, and the process exits 0", async () => {
  expect(await run("", (child) => child.kill("SIGTERM"))).toMatchObject({ code: 0, drained: true });
});

test("a parent that is gone drains the service", async () => {
  expect(await run("", (child) => child.disconnect())).toMatchObject({ code: 0, drained: true });
});

test("a service that stops itself is drained", async () => {
  expect(await run("setTimeout(() => life.stop('enough'), 10);")).toMatchObject({ code: 0, drained: true });
});

for (const [title, body] of [
  ["a service that cannot be opened", "throw new Error('cannot open');"],
  ["an error that nobody catches", "setTimeout(() => { throw new Error('cannot open'); }, 10);"],
  ["a rejection that nobody catches", "setTimeout(() => void Promise.reject(new Error('cannot open')), 10);"],
  ["a fault that leaves no safe way on", "setTimeout(() => life.fail(new Error('cannot open')), 10);"],
] as const) {
  test(`${title} ends the process with code 1 and its cause in the log`, async () => {
    const { code, drained, output } = await run(body);
    expect({ code, drained }).toEqual({ code: 1, drained: false });
    expect(output).toContain("cannot open");
  });
}
