/**
 * Stops what its launcher leaves behind. It holds one end of a pipe; when the pipe closes without the word "released",
 * the launcher was killed.
 *
 *   node deploy/reaper.ts <run folder> [--remove]
 *
 * With --remove the run's folder goes too: it was a test's.
 */
import { existsSync, realpathSync, rmSync } from "node:fs";
import { text } from "node:stream/consumers";
import { stopLeftovers } from "./leftovers.ts";
import { releaseRunLock } from "./run-lock.ts";
import { runPaths } from "./run-paths.ts";

export const releasedWord = "released";

async function reap(folder: string, remove: boolean): Promise<void> {
  const paths = runPaths(folder);
  const stopped = await stopLeftovers(paths);
  console.log(`${new Date().toISOString()} the launcher was killed; stopped ${stopped.join(", ") || "nothing"}`);
  if (remove) {
    if (existsSync(paths.postgres)) rmSync(realpathSync(paths.postgres), { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  } else {
    releaseRunLock(paths.lockFile);
  }
}

if (import.meta.main) {
  // Signals are meant for the launcher; the reaper ends when its work is done.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  const [folder, option] = process.argv.slice(2);
  if (folder === undefined) throw new Error("usage: reaper.ts <run folder> [--remove]");
  const said = await text(process.stdin).catch(() => "");
  if (!said.includes(releasedWord)) await reap(folder, option === "--remove");
}
