/** Stops postmasters that are not our children: by pid, checked against the data directory that they run. */
import { livePostmaster } from "./postmaster-file.ts";
import { childrenOf } from "./process-identity.ts";
import { WaitTimeoutError, waitFor } from "./wait-for.ts";

/** A fast stop, then an immediate one; after both, force. */
const attempts = [
  { signal: "SIGINT", limitMs: 20_000 },
  { signal: "SIGQUIT", limitMs: 5_000 },
  { signal: "SIGKILL", limitMs: 5_000 },
] as const;

/** Does nothing when no postmaster runs this data directory (a real path). */
export async function stopPostmaster(dataFolder: string): Promise<void> {
  for (const { signal, limitMs } of attempts) {
    const pid = livePostmaster(dataFolder);
    if (pid === undefined) return;
    const family = [pid, ...childrenOf(pid)];
    // Whatever a test has frozen could not hear the signal.
    for (const member of family) send(member, "SIGCONT");
    for (const member of signal === "SIGKILL" ? family : [pid]) send(member, signal);
    const stopped = waitFor(
      `the postmaster of ${dataFolder}`,
      limitMs,
      () => livePostmaster(dataFolder) === undefined || undefined,
    );
    if (await stopped.catch(isNoTimeout)) return;
  }
}

function isNoTimeout(error: unknown): boolean {
  if (error instanceof WaitTimeoutError) return false;
  throw error;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}
