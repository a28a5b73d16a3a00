/** Where a shard's writer says which slots its database owns, so that routers and people find one map of all shards. */
import type { SlotRange } from "#proto/slots.ts";

/** What a writer has read from its own database after its takeover. */
export type ShardClaim = {
  readonly deployment: string;
  readonly shardId: number;
  readonly shardCount: number;
  /** Of the shard map, as the shard's head has it. */
  readonly mapEpoch: number;
  readonly writerEpoch: number;
  readonly slots: readonly SlotRange[];
};

export interface ShardMapPublisher {
  /** The claim of the shard whose writer this process is; undefined when it is the writer no more. Never throws. */
  claim(claim: ShardClaim | undefined): void;
}

/** Of a mesh whose map is in a file. */
export const silentPublisher: ShardMapPublisher = { claim: () => {} };
