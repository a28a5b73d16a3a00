/** postmaster.pid: who runs a data directory, and whether it accepts connections. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { commandLine, isAlive } from "./process-identity.ts";

/** Its first line is the pid, its eighth the state. */
const stateLine = 7;

export type PostmasterState = { readonly pid: number; readonly accepting: boolean };

export function readPostmasterFile(dataFolder: string): PostmasterState | undefined {
  try {
    const lines = readFileSync(join(dataFolder, "postmaster.pid"), "utf8").split("\n");
    const pid = Number(lines[0]);
    return pid > 0 ? { pid, accepting: lines[stateLine]?.trim() === "ready" } : undefined;
  } catch {
    return undefined;
  }
}

/** The pid of the postmaster that runs this data directory now, whoever started it. `dataFolder` is a real path. */
export function livePostmaster(dataFolder: string): number | undefined {
  const pid = readPostmasterFile(dataFolder)?.pid;
  if (pid === undefined || !isAlive(pid)) return undefined;
  return `${commandLine(pid)} `.includes(` ${dataFolder} `) ? pid : undefined;
}

/**
 * Removes a pid file whose pid now belongs to another program: Postgres itself would take that for a postmaster and
 * refuse to start. A file whose process is gone is left to Postgres, and one of a live postmaster is never touched.
 */
export function removeForeignPidFile(dataFolder: string): void {
  const pid = readPostmasterFile(dataFolder)?.pid;
  if (pid !== undefined && isAlive(pid) && livePostmaster(dataFolder) === undefined) {
    rmSync(join(dataFolder, "postmaster.pid"), { force: true });
  }
}
