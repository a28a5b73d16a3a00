/** CPU time of processes with all that they started, where the system has /proc; elsewhere nothing. */
import { readdirSync, readFileSync } from "node:fs";

const ticksPerSecond = 100;

/** Seconds of CPU so far, by process id, that of living children included: a Postgres is its postmaster and backends. */
export function cpuSecondsByProcess(): Map<number, number> {
  const seconds = new Map<number, number>();
  for (const entry of listProcesses()) {
    const stat = readStat(entry);
    if (stat === undefined) continue;
    for (const pid of [Number(entry), stat.parent]) seconds.set(pid, (seconds.get(pid) ?? 0) + stat.seconds);
  }
  return seconds;
}

function listProcesses(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function readStat(pid: string): { parent: number; seconds: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name, in parentheses, may hold spaces. After it come state and parent; the 12th and 13th are times.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { parent: Number(fields[1]), seconds: ticks / ticksPerSecond };
  } catch {
    // The process has ended since it was listed.
    return undefined;
  }
}
