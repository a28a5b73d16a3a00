/** CPU time of a cluster on this machine, by what its processes are for, and of the load generator: this process. */
import { cpuSecondsByProcess } from "#bench/process-cpu.ts";
import type { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

/** Seconds so far, by part; empty where the system does not tell. */
export function cpuByPart(cluster: EmbeddedCluster): Map<string, number> {
  const seconds = cpuSecondsByProcess();
  const parts = new Map<string, number>();
  if (seconds.size === 0) return parts;
  const own = process.cpuUsage();
  parts.set("load generator", (own.user + own.system) / 1e6);
  for (const name of cluster.processNames()) {
    const part = partOf(name);
    parts.set(part, (parts.get(part) ?? 0) + (seconds.get(cluster.pid(name)) ?? 0));
  }
  return parts;
}

function partOf(processName: string): string {
  if (processName.endsWith("-primary")) return "Postgres primaries";
  if (processName.endsWith("-standby")) return "Postgres standbys";
  return processName.startsWith("shard-") ? "shard nodes" : processName.replace(/-\d+$/, "s");
}
