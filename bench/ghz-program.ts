/**
 * One run of ghz, and what it leaves in its folder: data.json (the template), command.txt (to run it again by hand),
 * report.json and report.html, both ghz's own.
 */
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GhzPlan } from "#bench/ghz-arguments.ts";
import { ghzArguments } from "#bench/ghz-arguments.ts";
import { writePage } from "#bench/ghz-page.ts";
import type { GhzReport } from "#bench/ghz-report.ts";
import { parseGhzReport } from "#bench/ghz-report.ts";
import type { GhzTarget } from "#bench/ghz-target.ts";
import { GhzRefusal } from "#bench/ghz-target.ts";

export type GhzRunOptions = {
  /** The program. */
  readonly ghz: string;
  readonly plan: GhzPlan;
  readonly target: GhzTarget;
  /** ghz's data template. */
  readonly data: string;
  /** Made if it is not there. */
  readonly folder: string;
  readonly log: (line: string) => void;
  /** Ends ghz early; it reports what it has. */
  readonly signal: AbortSignal;
};

export type GhzRun = {
  readonly plan: GhzPlan;
  readonly report: GhzReport;
  readonly reportFile: string;
  /** Undefined where it could not be made; the log says why. */
  readonly pageFile: string | undefined;
};

/** Beyond its own duration: for calls that are still under way or not even made, and for writing the report. */
const ghzGraceMs = 180_000;

/** Throws GhzRefusal when ghz does not run to its end. */
export async function runGhz(options: GhzRunOptions): Promise<GhzRun> {
  const { ghz, plan, target, data, folder, log, signal } = options;
  await mkdir(folder, { recursive: true });
  const files = { data: join(folder, "data.json"), report: join(folder, "report.json") };
  const args = ghzArguments(plan, target, files);
  await writeFile(files.data, `${data}\n`);
  await writeFile(join(folder, "command.txt"), `${[ghz, ...args].map(shellWord).join(" ")}\n`);
  await runProgram(ghz, args, plan.seconds * 1_000 + ghzGraceMs, signal);
  const text = await readFile(files.report, "utf8");
  const pageFile = join(folder, "report.html");
  const missing = await writePage(text, pageFile, log);
  if (missing !== undefined) log(`no report.html: ${missing}`);
  return {
    plan,
    report: parseGhzReport(text),
    reportFile: files.report,
    pageFile: missing === undefined ? pageFile : undefined,
  };
}

async function runProgram(program: string, args: readonly string[], limitMs: number, signal: AbortSignal) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], timeout: limitMs, killSignal: "SIGKILL" });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const interrupt = () => child.kill("SIGINT");
  signal.addEventListener("abort", interrupt, { once: true });
  try {
    const { code, signal: killedBy } = await new Promise<{ code: number | null; signal: string | null }>(
      (resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) => resolve({ code, signal }));
      },
    );
    if (killedBy === "SIGKILL") {
      throw new GhzRefusal(`ghz did not end within ${limitMs / 1_000} s: this machine cannot make such a load`);
    }
    if (code !== 0) throw new GhzRefusal(`ghz ended with ${killedBy ?? `exit code ${code}`}: ${said.trim()}`);
  } finally {
    signal.removeEventListener("abort", interrupt);
  }
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
