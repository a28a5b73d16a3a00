/**
 * A recount: every shard counts its rows of votes up to the frame's cut, all at once, and what they find is compared with
 * what the tally counted, shard by shard, region by region, cell by cell (I7). Progress is told as fast as the caller
 * reads it, and no faster.
 */
import { create } from "@bufbuild/protobuf";
import { ballotsCell } from "#proto/election-shape.ts";
import type { RecountDifference, RecountResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RecountResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import type { ElectionSnapshot } from "./election-counts.ts";
import { cellIndex } from "./election-counts.ts";
import type { Frame } from "./frame.ts";
import type { FrameHolder } from "./frame-holders.ts";
import type { RowComparison } from "./row-comparison.ts";
import { compareRows } from "./row-comparison.ts";
import type { RowCounter } from "./shard-rows.ts";

/** Differences that are told; the others are only counted. */
const differencesMax = 1_000;

/**
 * Throws UNKNOWN_ELECTION, RESULTS_SEALED while results are, SHARD_UNAVAILABLE when a shard is not in the frame's vector
 * or does not answer, and OVERLOADED when the holder had to make way. `shardIds` are all shards that there are.
 */
export async function* recount(
  holder: FrameHolder,
  electionId: string,
  shardIds: Iterable<number>,
  countRows: RowCounter,
  signal: AbortSignal,
): AsyncGenerator<RecountResponse, void, undefined> {
  if (holder.frame.election(electionId).sealed) throw new RejectionError("RESULTS_SEALED");
  const vector = wholeVector(holder.frame, shardIds);
  const rowsExpected = ballotsOf(holder.frame.election(electionId));
  const ending = new AbortController();
  const leave = () => ending.abort();
  signal.addEventListener("abort", leave, { once: true });
  const progress = new Progress();
  const work = [...vector].map(async ([shardId, throughBatch]) => {
    const onProgress = (rows: bigint) => progress.report(shardId, rows);
    const rows = await countRows({ shardId, electionId, throughBatch, signal: ending.signal, onProgress });
    return compareRows(holder.frame.election(electionId), shardId, rows, differencesMax);
  });
  try {
    const done = Promise.all(work);
    while (await progress.changedBefore(done)) {
      yield create(RecountResponseSchema, {
        part: { case: "progress", value: { rowsCounted: progress.rows, rowsExpected } },
      });
    }
    yield resultOf(holder.frame, await done);
  } finally {
    signal.removeEventListener("abort", leave);
    leave();
    await Promise.allSettled(work);
  }
}

/** What the shards have reported, until somebody reads it. */
class Progress {
  readonly #rows = new Map<number, bigint>();
  #changed = Promise.withResolvers<void>();

  get rows(): bigint {
    return [...this.#rows.values()].reduce((sum, rows) => sum + rows, 0n);
  }

  report(shardId: number, rows: bigint): void {
    this.#rows.set(shardId, rows);
    this.#changed.resolve();
  }

  /** Waits for a report; false when the work is done instead. Rejects when the work fails. */
  async changedBefore(done: Promise<unknown>): Promise<boolean> {
    const changed = await Promise.race([done.then(() => false), this.#changed.promise.then(() => true)]);
    if (changed) this.#changed = Promise.withResolvers<void>();
    return changed;
  }
}

/** The frame's vector; a recount of fewer than all shards would prove nothing. */
function wholeVector(frame: Frame, shardIds: Iterable<number>): ReadonlyMap<number, bigint> {
  const { vector } = frame.content.book;
  for (const shardId of shardIds) {
    if (!vector.has(shardId)) {
      throw new RejectionError("SHARD_UNAVAILABLE", `shard ${shardId} has not been read by the tally yet`);
    }
  }
  return vector;
}

function ballotsOf({ shape, regions, counts }: ElectionSnapshot): bigint {
  const leaves = regions.get("")?.leaves ?? [];
  let ballots = 0;
  for (const shard of counts.values()) ballots += shard.sum(cellIndex(shape, 0, ballotsCell), leaves);
  return BigInt(ballots);
}

function resultOf(frame: Frame, comparisons: readonly RowComparison[]): RecountResponse {
  const differences: RecountDifference[] = comparisons.flatMap((comparison) => comparison.differences);
  const differenceCount = comparisons.reduce((sum, comparison) => sum + comparison.differenceCount, 0);
  return create(RecountResponseSchema, {
    part: {
      case: "result",
      value: {
        vector: frame.vector,
        rowsCounted: comparisons.reduce((sum, { rows }) => sum + rows, 0n),
        matches: differenceCount === 0,
        differences: differences.slice(0, differencesMax),
        differenceCount: BigInt(differenceCount),
      },
    },
  });
}
