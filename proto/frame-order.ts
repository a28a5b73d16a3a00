/**
 * The rule that every reader of tally frames keeps: a frame whose vector is behind what was seen is dropped, so that no
 * count falls before a reader's eyes when the tally restarts or a stream is taken up again elsewhere (I7).
 */
import type { Frame, ShardPosition } from "#proto/generated/urna/v1/tally_service_pb.js";

/** What of a cut decides its order. */
export type FrameCut = {
  readonly frame?: Pick<Frame, "incarnation" | "number"> | undefined;
  readonly vector: readonly Pick<ShardPosition, "shardId" | "batch">[];
};

/** The newest cut of one election that a reader has accepted. */
export class FrameOrder {
  #incarnation = 0n;
  #number = 0n;
  #batches: ReadonlyMap<number, bigint> = new Map();

  /** Whether the cut is nowhere behind what was accepted before; if so, later cuts are compared with it. */
  accept(cut: FrameCut): boolean {
    if (this.isBehind(cut)) return false;
    this.#incarnation = cut.frame?.incarnation ?? 0n;
    this.#number = cut.frame?.number ?? 0n;
    this.#batches = batchesOf(cut);
    return true;
  }

  isBehind(cut: FrameCut): boolean {
    const incarnation = cut.frame?.incarnation ?? 0n;
    const number = cut.frame?.number ?? 0n;
    if (incarnation === this.#incarnation && number < this.#number) return true;
    const batches = batchesOf(cut);
    for (const [shardId, seen] of this.#batches) {
      // A shard that was seen and is absent now has not been read yet by a new incarnation: that is behind, not zero.
      const batch = batches.get(shardId);
      if (batch === undefined || batch < seen) return true;
    }
    return false;
  }
}

function batchesOf({ vector }: FrameCut): ReadonlyMap<number, bigint> {
  return new Map(vector.map(({ shardId, batch }) => [shardId, batch]));
}
