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
  /** "host:port" of the tally's gRPC server. */
  readonly tally: string;
};

export interface Directory {
  /** The last view that was read whole; it stays when discovery is lost. */
  readonly current: DirectoryView;
  /** Calls the listener with every new view; returns how to stop it. */
  onChange(listener: (view: DirectoryView) => void): () => void;
  /** Reads again now. */
  refresh(): Promise<void>;
  close(): void;
}
