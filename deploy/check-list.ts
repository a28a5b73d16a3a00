/** The checks that need nothing to run: one command each. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { developerEnvironment } from "./config.ts";
import { checkoutRoot, nodeFlags, ownNode } from "./own-node.ts";

export type Check = { readonly name: string; readonly command: readonly string[] };

const tool = (name: string, ...args: readonly string[]) => [join(checkoutRoot, "node_modules/.bin", name), ...args];

export const checks: readonly Check[] = [
  { name: "biome: format and lint", command: tool("biome", "check", "--error-on-warnings", ".") },
  { name: "tsc: types", command: tool("tsc", "-p", ".") },
  { name: "buf lint: the contract's style", command: tool("buf", "lint") },
  {
    name: "buf breaking: the contract against its last release",
    command: tool("buf", "breaking", "--against", "proto/baseline.binpb"),
  },
  { name: "generated code is current", command: [ownNode, ...nodeFlags, "proto/generate.ts", "--check"] },
];

/** Runs one check, says how it went, and shows its output when it failed. Answers whether it passed. */
export async function runCheck({ name, command }: Check): Promise<boolean> {
  const started = performance.now();
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    cwd: checkoutRoot,
    env: { ...developerEnvironment, PATH: toolPath() },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<boolean>((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (code) => resolve(code === 0));
  });
  const [stdout, stderr, passed] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  console.log(`${passed ? "✓" : "✗"} ${name}  (${((performance.now() - started) / 1_000).toFixed(1)} s)`);
  if (!passed) console.log(`${stdout}${stderr}`.trimEnd());
  return passed;
}

/** Tools that begin with `#!/usr/bin/env node` shall meet our Node. */
function toolPath(): string {
  return `${join(checkoutRoot, "node_modules/.bin")}:${developerEnvironment["PATH"] ?? ""}`;
}
