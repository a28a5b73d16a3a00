/**
 * The addresses of each shard's nodes. A node that has left the registry is kept for a while: who restarts is back by
 * then, and a call to an address where nobody listens fails at once. The last node of a shard is kept for good.
 */
import type { DirectoryView } from "#mesh/directory.ts";
import type { ServiceInstance } from "./service-instances.ts";

/** A node that is absent for longer has left. */
const absentMsMax = 10_000;

type Known = { readonly shardId: number; readonly address: string; absentSinceMs: number | undefined };

export class NodeRoster {
  readonly #known = new Map<string, Known>();

  /** `before`: what an earlier process has seen; it counts as absent until the registry says more. */
  constructor(before: DirectoryView | undefined, nowMs: number) {
    for (const { shardId, nodes } of before?.map.shards ?? []) {
      for (const address of nodes) this.#known.set(`at ${address}`, { shardId, address, absentSinceMs: nowMs });
    }
  }

  /** `mayForget`: the registry is whole, so who is not in it has left. */
  update(instances: readonly ServiceInstance[], mayForget: boolean, nowMs: number): void {
    const present = new Set<string>();
    for (const { key, shardId, address } of instances) {
      if (shardId === undefined) continue;
      this.#known.delete(`at ${address}`);
      this.#known.set(key, { shardId, address, absentSinceMs: undefined });
      present.add(key);
    }
    for (const [key, known] of this.#known) {
      if (present.has(key)) continue;
      known.absentSinceMs ??= nowMs;
      const isLate = nowMs - known.absentSinceMs >= absentMsMax;
      if (isLate && mayForget && this.#hasPresent(known.shardId)) this.#known.delete(key);
    }
  }

  /** "host:port" of each node, in an order that stays. */
  nodesOf(shardId: number): string[] {
    const addresses = [...this.#known.values()].filter((known) => known.shardId === shardId);
    return [...new Set(addresses.map(({ address }) => address))].sort();
  }

  #hasPresent(shardId: number): boolean {
    return [...this.#known.values()].some((known) => known.shardId === shardId && known.absentSinceMs === undefined);
  }
}
