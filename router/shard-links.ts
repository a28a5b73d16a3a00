/** All shards of the map: which one a vote belongs to, and what becomes of votes that a shard sent back. */
import { setTimeout as delay } from "node:timers/promises";
import type { Directory } from "#mesh/directory.ts";
import { homeSlotSource, slotOf, slotTable } from "#proto/slots.ts";
import { backoffMs } from "./backoff.ts";
import type { LinkParts } from "./shard-link.ts";
import { ShardLink } from "./shard-link.ts";
import { ShardNodes } from "./shard-nodes.ts";
import type { Unsettled } from "./vote-frame.ts";

export type ShardLinksParts = Pick<LinkParts, "table" | "limits" | "metrics" | "log" | "traces" | "onStateChange"> & {
  readonly directory: Directory;
  /** Checks the votes against the election as its home shard has it now, and routes them again. */
  readonly refuseOutdated: (rows: readonly number[]) => void;
  /** Votes that one shard may hold. */
  readonly shareOf: (shards: number) => number;
};

type Shard = { readonly nodes: ShardNodes; readonly link: ShardLink };

export class ShardLinks {
  readonly #parts: ShardLinksParts;
  readonly #shards = new Map<number, Shard>();
  readonly #stopListening: () => void;
  #table: Uint16Array;
  #share: number;
  /** Votes that wait to be routed again. */
  readonly #parked = new Set<number>();

  constructor(parts: ShardLinksParts) {
    this.#parts = parts;
    const { directory } = parts;
    this.#table = slotTable(directory.current.map.shards);
    this.#share = parts.shareOf(directory.current.map.shards.length);
    this.#follow();
    this.#stopListening = directory.onChange(() => this.#follow());
  }

  get links(): readonly ShardLink[] {
    return [...this.#shards.values()].map(({ link }) => link);
  }

  get allNodes(): readonly ShardNodes[] {
    return [...this.#shards.values()].map(({ nodes }) => nodes);
  }

  /** The nodes of the shard that owns the slot at the start of `bytes`. */
  nodesFor(bytes: Uint8Array): ShardNodes {
    return this.#shardOf(bytes).nodes;
  }

  /** An election's home shard. */
  homeOf(electionId: string): ShardNodes {
    return this.nodesFor(homeSlotSource(electionId));
  }

  /** Hands a vote that has passed its checks to its shard, or refuses it as OVERLOADED when too many wait there (I9). */
  route(row: number): void {
    const { table } = this.#parts;
    const { link } = this.#shardOf(table.identities, table.identityAt(row));
    const election = table.election(row);
    if (election === undefined) throw new Error("a vote is routed before it was checked");
    if (link.held >= this.#share) table.refuseSend(row, "OVERLOADED");
    else link.enqueue(election, row);
  }

  /** Lets go of what was answered at a deadline. */
  sweep(): void {
    for (const { link } of this.#shards.values()) link.sweep();
  }

  /** Ends every stream; returns the votes that were still held and not settled. Nobody holds them then. */
  close(): number[] {
    this.#stopListening();
    const left = this.links.flatMap((link) => link.close());
    for (const { nodes } of this.#shards.values()) nodes.close();
    const parked = [...this.#parked];
    this.#parked.clear();
    return [...left, ...parked.filter((row) => this.#parts.table.release(row))];
  }

  #shardOf(bytes: Uint8Array, offset = 0): Shard {
    const shard = this.#shards.get(this.#table[slotOf(bytes, offset)] ?? -1);
    if (shard === undefined) throw new Error("the shard map has no owner for a slot");
    return shard;
  }

  #follow(): void {
    const { map } = this.#parts.directory.current;
    this.#table = slotTable(map.shards);
    this.#share = this.#parts.shareOf(map.shards.length);
    for (const { shardId, nodes } of map.shards) this.#followShard(shardId, nodes);
    const gone = [...this.#shards.keys()].filter((id) => !map.shards.some(({ shardId }) => shardId === id));
    for (const shardId of gone) this.#removeShard(shardId);
  }

  #followShard(shardId: number, addresses: readonly string[]): void {
    const known = this.#shards.get(shardId);
    if (known !== undefined) {
      known.nodes.setNodes(addresses);
      known.link.nodesChanged();
      return;
    }
    const nodes = new ShardNodes(shardId, addresses);
    const link = new ShardLink({
      table: this.#parts.table,
      nodes,
      limits: this.#parts.limits,
      metrics: this.#parts.metrics,
      log: this.#parts.log,
      traces: this.#parts.traces,
      mapEpoch: () => this.#parts.directory.current.map.epoch,
      reroute: (unsettled) => this.#reroute(unsettled),
      onStateChange: this.#parts.onStateChange,
    });
    this.#shards.set(shardId, { nodes, link });
  }

  #removeShard(shardId: number): void {
    const shard = this.#shards.get(shardId);
    if (shard === undefined) return;
    this.#shards.delete(shardId);
    const left = shard.link.close();
    shard.nodes.close();
    for (const row of left) this.route(row);
  }

  /** The votes are unsettled and held by nobody. */
  #reroute({ wrongShard, wrongDefinition, unknown }: Unsettled): void {
    if (wrongDefinition.length > 0) this.#parts.refuseOutdated(wrongDefinition);
    if (wrongShard.length > 0) void this.#routeLater(wrongShard, true);
    if (unknown.length > 0) void this.#routeLater(unknown, false);
  }

  /** After a pause, so that a map or a takeover that is on its way can arrive, and no loop runs hot. */
  async #routeLater(rows: readonly number[], refresh: boolean): Promise<void> {
    const { table, directory } = this.#parts;
    let sends = Number.POSITIVE_INFINITY;
    for (const row of rows) {
      table.hold(row);
      this.#parked.add(row);
      sends = Math.min(sends, table.sends(row));
    }
    const { epoch } = directory.current.map;
    if (refresh) await directory.refresh();
    const isNewer = directory.current.map.epoch > epoch;
    if (!isNewer) await delay(backoffMs(sends - 1), undefined, { ref: false });
    for (const row of rows) if (this.#parked.delete(row) && table.release(row)) this.route(row);
  }
}
