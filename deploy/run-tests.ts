/**
 * `npm test`: the checks, the model, the unit tests, the cluster tests; with --faults the long fault tests instead.
 * Other arguments are parts of file names: then only tests in such files run.
 *
 * The last line is "N passed, N failed", with ", N skipped" where something was.
 */
import { spawn } from "node:child_process";
import { checks, runCheck } from "./check-list.ts";
import { developerEnvironment } from "./config.ts";
import { checkoutRoot, nodeFlags, ownNode } from "./own-node.ts";
import type { TestCounts } from "./vitest-run.ts";
import { runVitest } from "./vitest-run.ts";

const total = { passed: 0, failed: 0, skipped: 0 };

function add({ passed, failed, skipped }: TestCounts): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

function heading(text: string): void {
  console.log(`\n── ${text}`);
}

async function runChecks(): Promise<void> {
  heading("checks");
  for (const check of checks) {
    const passed = await runCheck(check);
    add({ passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 });
  }
}

/** The model says itself when it is skipped because its checker is not there. */
async function runModel(): Promise<void> {
  heading("the model of the cast path");
  const child = spawn(ownNode, [...nodeFlags, "spec/model.ts"], {
    cwd: checkoutRoot,
    env: developerEnvironment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let skipped = false;
  child.stdout.on("data", (chunk: Buffer) => {
    skipped ||= chunk.includes("model: skipped");
    process.stdout.write(chunk);
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (code !== 0) add({ passed: 0, failed: 1, skipped: 0 });
  else add({ passed: skipped ? 0 : 1, failed: 0, skipped: skipped ? 1 : 0 });
}

async function runProject(project: string, filters: readonly string[]): Promise<void> {
  heading(`${project} tests`);
  add(await runVitest(project, filters));
}

const args = process.argv.slice(2);
const filters = args.filter((arg) => !arg.startsWith("--"));
const unknown = args.filter((arg) => arg.startsWith("--") && arg !== "--faults");
if (unknown.length > 0) throw new Error(`run-tests: unknown option ${unknown.join(" ")}; there is --faults`);
const started = performance.now();

if (args.includes("--faults")) {
  await runProject("faults", filters);
} else {
  if (filters.length === 0) await runChecks();
  if (filters.length === 0) await runModel();
  await runProject("unit", filters);
  await runProject("cluster", filters);
}

const { passed, failed, skipped } = total;
console.log(`\n${((performance.now() - started) / 1_000).toFixed(0)} s`);
console.log(`${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
