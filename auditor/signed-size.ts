/** A root that a shard has signed for a size of its log: in a checkpoint, or in the result of an election. */
import type { Checkpoint } from "#proto/ledger/checkpoint.ts";

export type SignedSize = Pick<Checkpoint, "size" | "root"> & {
  /** The log's number among those of the shard: see proto/log-origin.ts */
  readonly generation: number;
  /** "a checkpoint", "the result of town" */
  readonly what: string;
};

/** In the order of their sizes; where several say the same, one of them. */
export function inSizeOrder(sizes: readonly SignedSize[]): SignedSize[] {
  const distinct = new Map(sizes.map((signed) => [keyOf(signed), signed]));
  return [...distinct.values()].sort((a, b) => a.size - b.size || a.generation - b.generation);
}

function keyOf({ generation, size, root }: SignedSize): string {
  return `${generation} ${size} ${root.toString("hex")}`;
}
