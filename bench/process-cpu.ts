/** CPU time, where the system has /proc; elsewhere nothing. */
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

/**
 * Seconds that the machine's cores have been busy so far, with whatever, a host's other guests included. Undefined where the
 * system does not tell.
 */
export function machineCpuSeconds(): number | undefined {
  try {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] =
      /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]?.split(" ").map(Number) ?? [];
    return (user + nice + system + irq + softIrq + steal) / ticksPerSecond;
  } catch {
    return undefined;
  }
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
