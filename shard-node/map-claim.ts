/** Says which slots this shard owns, as its database has it, while this node is its writer: the map that routers follow is made of that. */
import type { ShardClaim, ShardMapPublisher } from "#mesh/shard-map-publisher.ts";
import type { ShardNode } from "./node.ts";

/** A writer that takes over from itself may find other slots; nothing tells of that. */
const lookEveryMs = 1_000;

export class MapClaim {
  readonly #node: ShardNode;
  readonly #publisher: ShardMapPublisher;

  constructor(node: ShardNode, publisher: ShardMapPublisher) {
    this.#node = node;
    this.#publisher = publisher;
    setInterval(() => this.tell(), lookEveryMs).unref();
  }

  /** To be called when the node has changed between spare and writer. */
  tell(): void {
    this.#publisher.claim(claimOf(this.#node));
  }
}

/** Undefined on a spare. */
function claimOf({ state }: ShardNode): ShardClaim | undefined {
  if (state.kind !== "writing") return undefined;
  const { head, ownership } = state.writer;
  const { deployment, shardId, shardCount, mapEpoch, writerEpoch } = head;
  return { deployment, shardId, shardCount, mapEpoch, writerEpoch, slots: ownership.ranges };
}
