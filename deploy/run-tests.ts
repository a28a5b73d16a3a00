/**
 * `npm test`: the checks, the model, the unit tests, the tools that a mesh needs, the cluster tests; with --faults the long
 * fault tests instead.
 * Other arguments are parts of file names: then only tests in such files run.
 *
 * The last line is "N passed, N failed", with ", N skipped" where something was.
 */
import { spawn } from "node:child_process";
import { checks, runCheck } from "./check-list.ts";
import { developerEnvironment, requiredTools } from "./config.ts";
import { findConsul, findGhz } from "./go-tool.ts";
import { checkoutRoot, nodeFlags, ownNode } from "./own-node.ts";
import { findRedis } from "./redis-binary.ts";
import type { TestCounts } from "./vitest-run.ts";
import { runVitest } from "./vitest-run.ts";

const total = { passed: 0, failed: 0, skipped: 0 };

function add({ passed, failed, skipped }: TestCounts): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

/** Runs one part of the tests, and says how long it took. */
async function part(title: string, work: () => Promise<void>): Promise<void> {
  console.log(`\n── ${title}`);
  const from = performance.now();
  await work();
  console.log(`── ${title}: ${((performance.now() - from) / 1_000).toFixed(0)} s`);
}

async function runChecks(): Promise<void> {
  for (const check of checks) {
    const passed = await runCheck(check);
    add({ passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 });
  }
}

/** The model says itself when it is skipped because its checker is not there. */
async function runModel(): Promise<void> {
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

/** Before the tests that use them, whose time limits know nothing of a build. Those say themselves that they are skipped. */
async function findTools(): Promise<void> {
  const log = (line: string) => console.log(line);
  for (const find of [findRedis, findConsul, findGhz]) {
    try {
      console.log(await find(log));
    } catch (error) {
      const required = requiredTools.includes("mesh");
      console.log(
        `${required ? "failed" : "tests of the mesh will be skipped"}: ${error instanceof Error ? error.message : error}`,
      );
      if (required) add({ passed: 0, failed: 1, skipped: 0 });
    }
  }
}

async function runProject(project: string, filters: readonly string[]): Promise<void> {
  await part(`${project} tests`, async () => add(await runVitest(project, filters)));
}

const args = process.argv.slice(2);
const filters = args.filter((arg) => !arg.startsWith("--"));
const unknown = args.filter((arg) => arg.startsWith("--") && arg !== "--faults");
if (unknown.length > 0) throw new Error(`run-tests: unknown option ${unknown.join(" ")}; there is --faults`);
const started = performance.now();

if (args.includes("--faults")) {
  await part("tools of the mesh", findTools);
  await runProject("faults", filters);
} else {
  if (filters.length === 0) await part("checks", runChecks);
  if (filters.length === 0) await part("the model of the cast path", runModel);
  await runProject("unit", filters);
  await part("tools of the mesh", findTools);
  await runProject("cluster", filters);
}

const { passed, failed, skipped } = total;
console.log(`\n${((performance.now() - started) / 1_000).toFixed(0)} s`);
console.log(`${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
