/** All shards of the map: which one a vote belongs to, and what becomes of votes that a shard sent back. */
import type { Directory } from "#mesh/directory.ts";
import type { Identity } from "#mesh/identity.ts";
import { homeSlotSource, slotOf, slotTable } from "#proto/slots.ts";
import type { ResendLimits } from "./resends.ts";
import { Resends } from "./resends.ts";
import { DrainRate } from "./retry-advice.ts";
import type { LinkLimits, LinkParts } from "./shard-link.ts";
import { ShardLink } from "./shard-link.ts";
import { ShardNodes } from "./shard-nodes.ts";
import type { Unsettled } from "./vote-frame.ts";

export type ShardLinksParts = Pick<LinkParts, "table" | "metrics" | "log" | "traces" | "onStateChange"> & {
  readonly limits: LinkLimits & ResendLimits;
  readonly directory: Directory;
  readonly identity: Identity | undefined;
  /** Checks the votes against the election as its home shard has it now, and routes them again. */
  readonly refuseOutdated: (rows: readonly number[]) => void;
  /** Votes that one shard may hold. */
  readonly shareOf: (shards: number) => number;
};

type Shard = { readonly nodes: ShardNodes; readonly link: ShardLink; readonly resends: Resends };

/** How often it is looked how each shard stands. */
const lookEveryMs = 100;

export class ShardLinks {
  readonly #parts: ShardLinksParts;
  readonly #shards = new Map<number, Shard>();
  readonly #stopListening: () => void;
  #table: Uint16Array;
  #share: number;
  readonly #rate = new DrainRate(performance.now());
  readonly #looking: NodeJS.Timeout;

  constructor(parts: ShardLinksParts) {
    this.#parts = parts;
    const { directory } = parts;
    this.#table = slotTable(directory.current.map.shards);
    this.#share = parts.shareOf(directory.current.map.shards.length);
    this.#follow();
    this.#stopListening = directory.onChange(() => this.#follow());
    this.#looking = setInterval(() => this.#look(), lookEveryMs).unref();
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

  /**
   * Hands a vote that has passed its checks to its shard, or refuses it when it may not come in there (I9). One that has been
   * in before is not refused for others' waiting.
   */
  route(row: number, isNew = true): void {
    const { table, metrics } = this.#parts;
    const { link, resends } = this.#shardOf(table.identities, table.identityAt(row));
    const election = table.election(row);
    if (election === undefined) throw new Error("a vote is routed before it was checked");
    const { door } = link;
    const cause = door.refusal(link.held + resends.parked, link.waiting, this.#share, isNew);
    if (cause === undefined) link.enqueue(election, row);
    else {
      metrics.sheds.shed(cause);
      table.refuseSend(row, door.rejectionFor(cause));
    }
  }

  /** How long so many votes take, over all shards, as things go now. */
  pauseMs(votes: number): number {
    return this.#rate.pauseMs(votes);
  }

  /** Lets go of what was answered at a deadline. */
  sweep(): void {
    for (const { link } of this.#shards.values()) link.sweep();
  }

  /** Ends every stream; returns the votes that were still held and not settled. Nobody holds them then. */
  close(): number[] {
    this.#stopListening();
    clearInterval(this.#looking);
    return [...this.#shards.values()].flatMap(({ nodes, link, resends }) => {
      const left = link.close();
      nodes.close();
      return [...left, ...resends.close()];
    });
  }

  #look(): void {
    const nowMs = performance.now();
    for (const { link } of this.#shards.values()) link.look(nowMs);
    this.#rate.look(
      this.links.reduce((sum, { settled }) => sum + settled, 0),
      nowMs,
    );
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
    const { table, metrics, limits, directory } = this.#parts;
    const route = (row: number) => this.route(row, false);
    const resends = new Resends({ table, directory, metrics: metrics.sheds, limits, route });
    const nodes = new ShardNodes(shardId, addresses, this.#parts.identity);
    const link = new ShardLink({
      table: this.#parts.table,
      nodes,
      limits: this.#parts.limits,
      metrics: this.#parts.metrics,
      log: this.#parts.log,
      traces: this.#parts.traces,
      mapEpoch: () => this.#parts.directory.current.map.epoch,
      reroute: (unsettled) => this.#reroute(resends, unsettled),
      onStateChange: this.#parts.onStateChange,
    });
    this.#shards.set(shardId, { nodes, link, resends });
  }

  #removeShard(shardId: number): void {
    const shard = this.#shards.get(shardId);
    if (shard === undefined) return;
    this.#shards.delete(shardId);
    const left = [...shard.link.close(), ...shard.resends.close()];
    shard.nodes.close();
    for (const row of left) this.route(row, false);
  }

  /** The votes are unsettled and held by nobody. */
  #reroute(resends: Resends, { wrongShard, wrongDefinition, unknown }: Unsettled): void {
    if (wrongDefinition.length > 0) this.#parts.refuseOutdated(wrongDefinition);
    resends.sendAgain(wrongShard, "wrong_shard");
    resends.sendAgain(unknown, "unknown");
  }
}
