/**
 * Which processes of shards have ended, as far as the registry knows for sure. A process that this one has never seen in
 * the registry is never called ended: its registration may be on the way.
 */
import type { ServiceInstance } from "./service-instances.ts";

/** A registry that was wiped lists nobody, and that means nothing for so long. */
const unsettledMs = 15_000;
/** An agent that was restarted lists nobody, until who lives has registered again. */
const absentMsMin = 2_500;
const processesPerIdMax = 8;

type Seen = { absentSinceMs: number | undefined };

export class EndedProcesses {
  #instances: readonly ServiceInstance[] = [];
  /** By id of the instance, its processes; the newest last. */
  readonly #seen = new Map<string, Map<string, Seen>>();
  #unsettledUntilMs = 0;

  /** The registry knows less than it did. */
  startedAnew(nowMs: number): void {
    this.#unsettledUntilMs = nowMs + unsettledMs;
  }

  update(instances: readonly ServiceInstance[], nowMs: number): void {
    this.#instances = instances;
    for (const { id, process } of instances) if (process !== "") this.#see(id, process);
    const listed = new Set(instances.map(({ process }) => process));
    for (const processes of this.#seen.values()) {
      for (const [process, seen] of processes) if (!listed.has(process)) seen.absentSinceMs ??= nowMs;
    }
  }

  /** To be asked only while the registry answers. */
  has(process: string, nowMs: number): boolean {
    const own = this.#instances.find((instance) => instance.process === process);
    if (own !== undefined) return !own.reachable;
    const id = idOf(process);
    const absentSinceMs = this.#seen.get(id)?.get(process)?.absentSinceMs;
    if (absentSinceMs === undefined || nowMs < this.#unsettledUntilMs) return false;
    const replaced = this.#instances.some((instance) => instance.id === id && instance.process !== "");
    return replaced || nowMs - absentSinceMs >= absentMsMin;
  }

  #see(id: string, process: string): void {
    const processes = this.#seen.get(id) ?? new Map<string, Seen>();
    this.#seen.set(id, processes);
    processes.delete(process);
    processes.set(process, { absentSinceMs: undefined });
    const [oldest] = processes.keys();
    if (processes.size > processesPerIdMax && oldest !== undefined) processes.delete(oldest);
  }
}

/** "shard-0-a" of "shard-0-a/1f9c…". */
function idOf(process: string): string {
  return process.split("/", 1)[0] ?? "";
}
