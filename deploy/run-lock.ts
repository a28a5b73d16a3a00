/** One run in a folder at a time. The lock names a process and when it started, so that a reused pid holds nothing. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProcessIdentity } from "./process-identity.ts";
import { identify, isStillRunning } from "./process-identity.ts";
import { waitFor } from "./wait-for.ts";

/** How long the reaper of a killed launcher may take to stop what it left. */
const reaperLimitMs = 90_000;
const lockPollMs = 500;

export type LockContent = { readonly owner: ProcessIdentity; readonly reaper?: ProcessIdentity };

export class RunActiveError extends Error {
  constructor(folder: string, pid: number) {
    super(`a run is active in ${folder} (process ${pid}); stop it first, or choose another folder with --dir`);
    this.name = "RunActiveError";
  }
}

/** Throws RunActiveError while another run holds the lock; waits for the reaper of a run that was killed. */
export async function takeRunLock(folder: string, lockFile: string): Promise<void> {
  const owner = identify(process.pid);
  if (owner === undefined) throw new Error("cannot tell when this process started");
  const draft = `${lockFile}.${process.pid}.part`;
  writeFileSync(draft, JSON.stringify({ owner }));
  try {
    for (;;) {
      if (linkUnlessExists(draft, lockFile)) return;
      const found = readLock(lockFile);
      if (found !== undefined && isStillRunning(found.owner)) throw new RunActiveError(folder, found.owner.pid);
      if (found?.reaper !== undefined) await untilEnded(found.reaper);
      removeStale(lockFile, found);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Takes the lock as soon as nobody who lives holds it; `onWait` is told once when somebody does. */
export async function untilLocked(folder: string, lockFile: string, onWait: () => void): Promise<void> {
  for (let waits = 0; ; waits++) {
    try {
      await takeRunLock(folder, lockFile);
      return;
    } catch (error) {
      if (!(error instanceof RunActiveError)) throw error;
      if (waits === 0) onWait();
      await sleep(lockPollMs);
    }
  }
}

/** Adds the reaper, for whoever finds the lock after we were killed. */
export function nameReaper(lockFile: string, reaper: ProcessIdentity): void {
  const draft = `${lockFile}.${process.pid}.part`;
  writeFileSync(draft, JSON.stringify({ owner: identify(process.pid), reaper }));
  renameSync(draft, lockFile);
}

export function releaseRunLock(lockFile: string): void {
  rmSync(lockFile, { force: true });
}

/** Undefined when there is none, or it cannot be read. */
export function readLock(lockFile: string): LockContent | undefined {
  try {
    return JSON.parse(readFileSync(lockFile, "utf8")) as LockContent;
  } catch {
    return undefined;
  }
}

function linkUnlessExists(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Of two that find the same stale lock, one moves it away; the other may have moved a new one, and puts it back. */
function removeStale(lockFile: string, stale: LockContent | undefined): void {
  const aside = `${lockFile}.${process.pid}.stale`;
  try {
    renameSync(lockFile, aside);
  } catch {
    return;
  }
  if (JSON.stringify(readLock(aside)) !== JSON.stringify(stale)) linkUnlessExists(aside, lockFile);
  rmSync(aside, { force: true });
}

async function untilEnded(reaper: ProcessIdentity): Promise<void> {
  await waitFor(`the reaper (process ${reaper.pid}) of a killed run`, reaperLimitMs, () =>
    isStillRunning(reaper) ? undefined : true,
  );
}
