// The tools that a verification needs: spin, and the C compiler that builds the verifier which spin writes. They are
// taken as they are found; root may install what is missing, because nothing else in the project needs them.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { Processes } from "./processes.ts";

export type Checker =
  | { readonly kind: "ready"; readonly spin: string; readonly compiler: string }
  | { readonly kind: "missing"; readonly reason: string };

type Report = (line: string) => void;

/** Finds both tools, by `URNA_SPIN` and then on the `PATH`; as root, installs by apt what is not there. */
export async function findChecker(processes: Processes, report: Report): Promise<Checker> {
  const named = process.env["URNA_SPIN"] ?? "";
  if (named !== "" && !isExecutable(named)) return { kind: "missing", reason: `URNA_SPIN: no program at ${named}` };
  const missing = missingPackages();
  if (missing.length > 0) {
    const failure = await install(missing, processes, report);
    if (failure !== undefined) return { kind: "missing", reason: failure };
  }
  const spin = findSpin();
  const compiler = findCompiler();
  if (spin === undefined || compiler === undefined) {
    return { kind: "missing", reason: `not found after installing: ${missingPackages().join(", ")}` };
  }
  return { kind: "ready", spin, compiler };
}

function missingPackages(): string[] {
  const packages: string[] = [];
  if (findSpin() === undefined) packages.push("spin");
  if (findCompiler() === undefined) packages.push("gcc", "libc6-dev");
  return packages;
}

/** Says why it could not, or nothing when it could. */
async function install(packages: readonly string[], processes: Processes, report: Report): Promise<string | undefined> {
  const wanted = packages.join(" ");
  const apt = onPath("apt-get");
  const advice = `missing: ${wanted} (apt-get install --no-install-recommends ${wanted}, or name spin in URNA_SPIN)`;
  if (process.getuid?.() !== 0 || apt === undefined) return advice;
  report(`model: installing ${wanted} by apt`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // A stale package list may still be good enough, so only the install decides.
  await processes.run(apt, ["update"], { env });
  const done = await processes.run(apt, ["install", "-y", "--no-install-recommends", ...packages], { env });
  if (done.code === 0) return undefined;
  return `${advice}; apt-get said: ${done.stderr.trim().split("\n").at(-1) ?? "nothing"}`;
}

function findSpin(): string | undefined {
  const named = process.env["URNA_SPIN"] ?? "";
  return named === "" ? onPath("spin") : named;
}

function findCompiler(): string | undefined {
  return onPath("gcc") ?? onPath("cc");
}

function onPath(name: string): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
