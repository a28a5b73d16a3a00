/** Stops what a run left behind whose launcher was killed. */
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { stopPostmaster } from "./postmaster-stop.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { isStillRunning } from "./process-identity.ts";
import type { RunPaths } from "./run-paths.ts";
import { waitFor } from "./wait-for.ts";

/** Services drain by themselves when their launcher dies; this long they may take. */
const drainLimitMs = 12_000;

export type RecordedProcess = ProcessIdentity & { readonly name: string };

/** The services that the run recorded. */
export function recordedProcesses({ processesFile }: RunPaths): readonly RecordedProcess[] {
  return existsSync(processesFile) ? (JSON.parse(readFileSync(processesFile, "utf8")) as RecordedProcess[]) : [];
}

/** Services first, then primaries, then standbys; answers the names of what had to be stopped by us. */
export async function stopLeftovers(paths: RunPaths): Promise<string[]> {
  const services = recordedProcesses(paths).filter(isStillRunning);
  await Promise.all(services.map(stopService));
  const stopped = services.map(({ name }) => name);
  if (!existsSync(paths.postgres)) return stopped;
  const dataRoot = realpathSync(paths.postgres);
  const servers = readdirSync(dataRoot).filter((name) => existsSync(join(dataRoot, name, "postmaster.pid")));
  for (const role of ["primary", "standby"]) {
    const ofRole = servers.filter((name) => name.endsWith(role));
    await Promise.all(ofRole.map((name) => stopPostmaster(join(dataRoot, name))));
    stopped.push(...ofRole);
  }
  return stopped;
}

async function stopService(service: RecordedProcess): Promise<void> {
  const send = (signal: NodeJS.Signals) => {
    if (isStillRunning(service)) process.kill(service.pid, signal);
  };
  send("SIGCONT");
  send("SIGTERM");
  const ended = () => (isStillRunning(service) ? undefined : true);
  await waitFor(`${service.name} to end`, drainLimitMs, ended).catch(() => send("SIGKILL"));
}
