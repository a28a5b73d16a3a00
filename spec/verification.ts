// One run of the checker: spin writes a verifier for the model with some macros, the compiler builds it, it searches.

import { cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { PROPERTIES, type Property } from "./mistakes.ts";
import type { Processes } from "./processes.ts";

/** Steps on one path. A search that would go deeper is cut by the verifier, says so, and fails. */
const DEPTH_MAX = 5_000;

export type Verdict =
  | { readonly kind: "verified" }
  | { readonly kind: "violated"; readonly property: Property }
  /** The search ended in any other way: cut short, deadlocked, out of memory, or never started. */
  | { readonly kind: "failed"; readonly reason: string };

export interface Search {
  readonly verdict: Verdict;
  /** Distinct states stored. */
  readonly states: number;
  /** Steps on the longest path. */
  readonly depth: number;
  readonly seconds: number;
  /** Statements that no path reached, as the verifier names them: file, line, text. */
  readonly unreached: readonly string[];
  /** Where the verifier is, and the trail to the violation if there is one. */
  readonly folder: string;
}

export interface Tools {
  readonly spin: string;
  readonly compiler: string;
  readonly processes: Processes;
  readonly memoryMb: number;
}

/**
 * `whole`: millions of states are expected. `first`: a violation is expected soon, so a quick compilation matters more
 * than a quick search. `shortest`: after the first violation, go on to look for shorter ones.
 */
export type Effort = "whole" | "first" | "shortest";

const COMPILER_FLAGS: Readonly<Record<Effort, readonly string[]>> = {
  whole: ["-O2"],
  first: ["-O0"],
  shortest: ["-O1", "-DREACH"],
};

/** Copies the model into `folder`, and searches it. */
export async function search(
  tools: Tools,
  model: string,
  folder: string,
  macros: readonly string[],
  effort: Effort,
): Promise<Search> {
  await copyModel(model, folder);
  const run = (program: string, args: readonly string[]) => tools.processes.run(program, args, { cwd: folder });
  const failed = (step: string, said: string): Search => ({
    verdict: { kind: "failed", reason: `${step}: ${said.trim().split("\n")[0] ?? ""}` },
    states: 0,
    depth: 0,
    seconds: 0,
    unreached: [],
    folder,
  });

  const written = await run(tools.spin, [...macros, "-a", "cast.pml"]);
  if (written.code !== 0) return failed("spin", written.stdout + written.stderr);
  const flags = [...COMPILER_FLAGS[effort], "-w", "-DSAFETY", `-DMEMLIM=${tools.memoryMb}`];
  const built = await run(tools.compiler, [...flags, "-o", "pan", "pan.c"]);
  if (built.code !== 0) return failed("compiler", built.stderr);

  const began = performance.now();
  const done = await run(join(folder, "pan"), [`-m${DEPTH_MAX}`, ...(effort === "shortest" ? ["-i"] : [])]);
  const text = done.stdout + done.stderr;
  return {
    verdict: verdictOf(text),
    states: Number(/(\S+) states, stored/.exec(text)?.[1] ?? 0),
    depth: Number(/depth reached (\d+)/.exec(text)?.[1] ?? 0),
    seconds: (performance.now() - began) / 1_000,
    unreached: unreachedIn(text),
    folder,
  };
}

/** Tells the violation that a search found as a story: one line for each action, in order. */
export async function replay(tools: Tools, folder: string, macros: readonly string[]): Promise<string[]> {
  const told = await tools.processes.run(tools.spin, ["-t", "-T", ...macros, "cast.pml"], { cwd: folder });
  const lines = told.stdout.split("\n");
  const end = lines.findIndex((line) => line.startsWith("spin: trail ends"));
  return lines.slice(0, end === -1 ? undefined : end).filter((line) => line.trim() !== "");
}

async function copyModel(model: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const files = (await readdir(model)).filter((file) => file.endsWith(".pml"));
  await Promise.all(files.map((file) => cp(join(model, file), join(folder, file))));
}

/** An assertion that fails names its property first: `assertion violated (I3||...)`. */
function verdictOf(text: string): Verdict {
  const cut = /max search depth too small|reached -DMEMLIM bound|out of memory|Search not completed/.exec(text);
  const violated = /assertion violated \(+(I\d+)\b/.exec(text)?.[1];
  const property = PROPERTIES.find((known) => known === violated);
  if (property !== undefined) return { kind: "violated", property };
  if (cut !== null) return { kind: "failed", reason: `truncated: ${cut[0]}` };
  const error = /^pan:1: (.*)$/m.exec(text)?.[1];
  if (error !== undefined) return { kind: "failed", reason: error };
  if (!/errors: 0\b/.test(text)) return { kind: "failed", reason: "the verifier did not finish" };
  return { kind: "verified" };
}

/** The end of a process that never ends is unreached by intention. */
function unreachedIn(text: string): string[] {
  return [...text.matchAll(/^\t(\S+, state \d+, ".*")$/gm)]
    .map((match) => match[1] ?? "")
    .filter((statement) => !statement.includes('"-end-"'));
}
