/** Memory of processes, where the system has /proc; elsewhere nothing. */
import { readdirSync, readFileSync } from "node:fs";

const mebibyte = 2 ** 20;

/**
 * MiB by process id, those of living children included: a Postgres is its postmaster and backends. Of each process what it has
 * for itself (RssAnon, a part of RSS): what several share, Postgres' buffers or a program's code, would be counted many times.
 */
export function memoryByProcess(): ReadonlyMap<number, number> {
  const memory = new Map<number, number>();
  for (const entry of listProcesses()) {
    const status = readStatus(entry);
    if (status === undefined) continue;
    for (const pid of [Number(entry), status.parent]) memory.set(pid, (memory.get(pid) ?? 0) + status.mebibytes);
  }
  return memory;
}

function listProcesses(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function readStatus(pid: string): { parent: number; mebibytes: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    // Threads of the kernel have none.
    const kibibytes = /^RssAnon:\s+(\d+) kB/m.exec(text)?.[1];
    const parent = /^PPid:\s+(\d+)/m.exec(text)?.[1];
    if (kibibytes === undefined || parent === undefined) return undefined;
    return { parent: Number(parent), mebibytes: (Number(kibibytes) * 1_024) / mebibyte };
  } catch {
    // The process has ended since it was listed.
    return undefined;
  }
}
