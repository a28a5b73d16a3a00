/** All shards of the map: which one a vote belongs to, and what becomes of votes that a shard sent back. */
import { setTimeout as delay } from "node:timers/promises";
import type { Directory } from "#mesh/directory.ts";
import { homeSlotSource, slotOf, slotTable } from "#proto/slots.ts";
import { backoffMs } from "./backoff.ts";
import type { PendingVote } from "./pending-vote.ts";
import type { LinkParts } from "./shard-link.ts";
import { ShardLink } from "./shard-link.ts";
import { ShardNodes } from "./shard-nodes.ts";
import type { Unsettled } from "./vote-frame.ts";

export type ShardLinksParts = Pick<LinkParts, "limits" | "metrics" | "log" | "onStateChange"> & {
  readonly directory: Directory;
  /** Checks the votes against the election as its home shard has it now, and routes them again. */
  readonly refuseOutdated: (votes: readonly PendingVote[]) => void;
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
  readonly #parked = new Set<PendingVote>();

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
  route(vote: PendingVote): void {
    const { link } = this.#shardOf(vote.columns);
    if (vote.election === undefined) throw new Error("a vote is routed before it was checked");
    if (link.held >= this.#share) vote.refuseSend("OVERLOADED");
    else link.enqueue(vote.election, vote);
  }

  /** Lets go of what was answered at a deadline. */
  sweep(): void {
    for (const { link } of this.#shards.values()) link.sweep();
  }

  /** Ends every stream; returns the votes that were still held, in the state they are in. */
  close(): PendingVote[] {
    this.#stopListening();
    const left = this.links.flatMap((link) => link.close());
    for (const { nodes } of this.#shards.values()) nodes.close();
    const parked = [...this.#parked];
    this.#parked.clear();
    for (const vote of parked) vote.release();
    return [...left, ...parked];
  }

  #shardOf(bytes: Uint8Array): Shard {
    const shard = this.#shards.get(this.#table[slotOf(bytes)] ?? -1);
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
      nodes,
      limits: this.#parts.limits,
      metrics: this.#parts.metrics,
      log: this.#parts.log,
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
    for (const vote of left) if (!vote.settled) this.route(vote);
  }

  #reroute({ wrongShard, wrongDefinition, unknown }: Unsettled): void {
    if (wrongDefinition.length > 0) this.#parts.refuseOutdated(wrongDefinition.filter(({ settled }) => !settled));
    if (wrongShard.length > 0) void this.#routeLater(wrongShard, true);
    if (unknown.length > 0) void this.#routeLater(unknown, false);
  }

  /** After a pause, so that a map or a takeover that is on its way can arrive, and no loop runs hot. */
  async #routeLater(votes: readonly PendingVote[], refresh: boolean): Promise<void> {
    const waiting = votes.filter(({ settled }) => !settled);
    let sends = Number.POSITIVE_INFINITY;
    for (const vote of waiting) {
      vote.hold();
      this.#parked.add(vote);
      sends = Math.min(sends, vote.sends);
    }
    const { epoch } = this.#parts.directory.current.map;
    if (refresh) await this.#parts.directory.refresh();
    const isNewer = this.#parts.directory.current.map.epoch > epoch;
    if (!isNewer) await delay(backoffMs(sends - 1), undefined, { ref: false });
    for (const vote of waiting) {
      if (!this.#parked.delete(vote)) continue;
      vote.release();
      if (!vote.settled) this.route(vote);
    }
  }
}
