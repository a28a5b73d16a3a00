/** Which process is meant: a pid alone is reused, so it is remembered together with when its process started. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export type ProcessIdentity = { readonly pid: number; readonly startedAt: string };

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Undefined when there is no such process. The text only serves to be compared. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startedAt = startOf(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isStillRunning({ pid, startedAt }: ProcessIdentity): boolean {
  return startOf(pid) === startedAt;
}

/** The command line, its arguments joined by spaces; empty when there is no such process. */
export function commandLine(pid: number): string {
  if (process.platform === "linux") {
    return readProc(pid, "cmdline")?.replaceAll("\0", " ").trim() ?? "";
  }
  return runPs(pid, "command=") ?? "";
}

function startOf(pid: number): string | undefined {
  if (process.platform !== "linux") return runPs(pid, "lstart=");
  const fields = statFields(pid);
  return fields === undefined || fields[0] === "Z" ? undefined : fields[19];
}

/**
 * The fields of /proc/pid/stat from the third on: the state, the parent, …, and in the 20th place the start in clock
 * ticks after boot. The command's name before them stands in brackets and may hold anything.
 */
function statFields(pid: number): string[] | undefined {
  return readProc(pid, "stat")
    ?.replace(/^.*\) /s, "")
    .split(" ");
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}

function runPs(pid: number, column: string): string | undefined {
  try {
    const text = execFileSync("ps", ["-o", column, "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
    return text.toString().trim() || undefined;
  } catch {
    return undefined;
  }
}

/** The pids whose parent this is. */
export function childrenOf(parent: number): number[] {
  return processTable().flatMap(([pid, ppid]) => (ppid === parent && pid !== undefined ? [pid] : []));
}

function processTable(): (readonly (number | undefined)[])[] {
  if (process.platform !== "linux") {
    const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="]).toString();
    return table.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  }
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), Number(statFields(Number(name))?.[1])]);
}
