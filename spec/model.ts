// Explores the model of the cast path whole, then shows that the checker finds each known mistake.
//
//   model.ts          this file: what is run, what is expected, what is printed
//   cast.pml          the model; it includes shard-node.pml and postgres.pml
//   mistakes.ts       what can be done wrong, and which property must notice
//   verification.ts   one run of the checker
//   checker.ts        where the checker comes from
//   processes.ts      children that never outlive this program
//
// Usage: node spec/model.ts [-DBOUND=VALUE …] [--memory-mb N] [--story MISTAKE]

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findChecker } from "./checker.ts";
import { MISTAKES, type Mistake, PROPERTIES } from "./mistakes.ts";
import { Processes } from "./processes.ts";
import { type Effort, replay, type Search, search, type Tools } from "./verification.ts";

/** Enough for the default bounds, and small enough to leave a 4 GB machine alone. */
const MEMORY_MB = 1_800;
/** The search of the design takes one core; the mistakes share the other. */
const LANES = 2;

const MODEL = import.meta.dirname;

interface Request {
  readonly bounds: readonly string[];
  readonly memoryMb: number;
  readonly story: Mistake | undefined;
}

class UsageError extends Error {}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function requestFrom(args: readonly string[]): Request {
  const bounds = args.filter((arg) => arg.startsWith("-D"));
  const wrong = bounds.find((bound) => !/^-D[A-Z_]+=\d+$/.test(bound));
  if (wrong !== undefined) throw new UsageError(`${wrong}: a bound looks like -DTAKE_OVERS=4`);
  const { values } = parseArgs({
    args: args.filter((arg) => !arg.startsWith("-D")),
    options: { "memory-mb": { type: "string" }, story: { type: "string" } },
  });
  const memoryMb = Number(values["memory-mb"] ?? MEMORY_MB);
  if (!Number.isInteger(memoryMb) || memoryMb < 1) throw new UsageError("--memory-mb: a whole number is needed");
  const story = MISTAKES.find((mistake) => mistake.macro === values.story);
  if (values.story !== undefined && story === undefined) {
    throw new UsageError(`--story: one of ${MISTAKES.map((mistake) => mistake.macro).join(", ")}`);
  }
  return { bounds, memoryMb, story };
}

/** Without a checker the model is skipped, unless whoever started us requires it. */
function skip(reason: string): number {
  print(`model: skipped: ${reason}`);
  const required = (process.env["URNA_REQUIRE"] ?? "").split(",").map((name) => name.trim());
  if (!required.includes("model")) return 0;
  print("model: failed: URNA_REQUIRE names it");
  return 1;
}

function printSearch(name: string, found: Search, verdict: string): void {
  const states = `${found.states} states`.padStart(15);
  const depth = `depth ${found.depth}`.padStart(10);
  print(`${name.padEnd(40)} ${states} ${depth} ${found.seconds.toFixed(1).padStart(6)} s  ${verdict}`);
}

function describe(found: Search): string {
  switch (found.verdict.kind) {
    case "verified":
      return "no violation";
    case "violated":
      return `${found.verdict.property} violated`;
    case "failed":
      return found.verdict.reason;
  }
}

function countWitnesses(): number {
  const texts = readdirSync(MODEL)
    .filter((file) => file.endsWith(".pml"))
    .map((file) => readFileSync(join(MODEL, file), "utf8").replaceAll(/^#define.*$/gm, ""));
  return texts.join("\n").split("witness(").length - 1;
}

/** The design must violate nothing, and must be able to do everything that the model says: else it proves nothing. */
function judgeDesign(found: Search, bounds: readonly string[]): boolean {
  const verified = found.verdict.kind === "verified";
  // Other bounds may well leave something out, such as fail_over with none allowed: then say so, and go on.
  const complete = found.unreached.length === 0 || bounds.length > 0;
  const reach =
    found.unreached.length === 0
      ? `every statement reached, ${countWitnesses()} witnesses among them`
      : `${found.unreached.length} statements never reached`;
  const verdict = verified ? `verified: ${PROPERTIES.join(" ")}; ${reach}` : `FAILED: ${describe(found)}`;
  printSearch(["design", ...bounds].join(" "), found, verdict);
  if (verified) for (const statement of found.unreached) print(`  never reached: ${statement}`);
  return verified && complete;
}

function judgeMistake(mistake: Mistake, found: Search): boolean {
  const right = found.verdict.kind === "violated" && found.verdict.property === mistake.violates;
  const verdict = right ? `found: ${describe(found)}` : `NOT FOUND: ${mistake.violates} expected, ${describe(found)}`;
  printSearch(mistake.sentence, found, verdict);
  return right;
}

async function exploreAll(tools: Tools, folder: string, bounds: readonly string[]): Promise<number> {
  const explore = (name: string, macros: readonly string[], effort: Effort) =>
    search(tools, MODEL, join(folder, name), macros, effort);
  let design: Search | undefined;
  let designIsRight = false;
  let found = 0;
  const work = [
    async () => {
      design = await explore("design", bounds, "whole");
      designIsRight = judgeDesign(design, bounds);
    },
    ...MISTAKES.map((mistake) => async () => {
      // A mistake must be found within the bounds that the design is held to by default.
      if (judgeMistake(mistake, await explore(mistake.macro, [`-D${mistake.macro}`], "first"))) found++;
    }),
  ].values();
  const lane = async () => {
    for (const step of work) await step();
  };
  await Promise.all(Array.from({ length: LANES }, lane));

  const verified = designIsRight ? "1 design verified" : "design NOT verified";
  print(`model: ${verified} (${design?.states ?? 0} states), ${found} of ${MISTAKES.length} mistakes found`);
  return designIsRight && found === MISTAKES.length ? 0 : 1;
}

async function tellStory(tools: Tools, folder: string, mistake: Mistake, bounds: readonly string[]): Promise<number> {
  const macros = [`-D${mistake.macro}`, ...bounds];
  const found = await search(tools, MODEL, join(folder, mistake.macro), macros, "shortest");
  if (found.verdict.kind === "violated") for (const line of await replay(tools, found.folder, macros)) print(line);
  return judgeMistake(mistake, found) ? 0 : 1;
}

async function main(args: readonly string[]): Promise<number> {
  const { bounds, memoryMb, story } = requestFrom(args);
  const processes = new Processes();
  const folder = mkdtempSync(join(tmpdir(), "urna-model-"));
  const cleanUp = () => {
    processes.killAll();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  process.once("SIGINT", () => {
    cleanUp();
    process.exit(130);
  });
  process.once("SIGTERM", () => {
    cleanUp();
    process.exit(143);
  });
  try {
    const checker = await findChecker(processes, print);
    if (checker.kind === "missing") return skip(checker.reason);
    const tools: Tools = { spin: checker.spin, compiler: checker.compiler, processes, memoryMb };
    return await (story === undefined ? exploreAll(tools, folder, bounds) : tellStory(tools, folder, story, bounds));
  } finally {
    cleanUp();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  print(`model: failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
