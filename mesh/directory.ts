/** Who is where: the shard map and the addresses of the mesh, from whichever discovery is in use. */
import type { SlotRange } from "#proto/slots.ts";

export type ShardEntry = {
  readonly shardId: number;
  readonly slots: readonly SlotRange[];
  /** "host:port" of every node of the shard; which one is the writer is found by asking. */
  readonly nodes: readonly string[];
};

export type ShardMap = { readonly epoch: number; readonly shards: readonly ShardEntry[] };

export type DirectoryView = {
  readonly deployment: string;
  readonly map: ShardMap;
  /** "host:port" of the tally's gRPC server; `nobodyAt` while none is known. */
  readonly tally: string;
};

/** An address that refuses at once. */
export const nobodyAt = "0.0.0.0:0";

export interface Directory {
  /** The last view that was read whole; it stays when discovery is lost. */
  readonly current: DirectoryView;
  /** Why it may be out of date, for a health line; empty when it is not. */
  readonly trouble: string;
  /** Calls the listener with every new view; returns how to stop it. */
  onChange(listener: (view: DirectoryView) => void): () => void;
  /** Reads again now. */
  refresh(): Promise<void>;
  /**
   * Whether discovery knows that this process ("shard-0-a/1f9c…") of a shard has ended. False when it knows nothing: a hint
   * that lets a spare look at once, never a reason to think that a writer still writes.
   */
  hasEnded(process: string): boolean;
  close(): void;
}
