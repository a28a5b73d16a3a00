/** Compares what the tally counted on a shard with the rows of votes that the shard holds up to the same batch (I7). */
import type { ElectionShape } from "#proto/election-shape.ts";
import { ballotsCell } from "#proto/election-shape.ts";
import type { ElectionCounts as ElectionCountsMessage } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { RecountDifference } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { ElectionSnapshot } from "./election-counts.ts";
import { cellIndex } from "./election-counts.ts";
import { FrozenCounts, PagedCounts } from "./paged-counts.ts";

export type RowComparison = {
  readonly rows: bigint;
  readonly differenceCount: number;
  /** The first ones, at most as many as were asked for. */
  readonly differences: readonly RecountDifference[];
};

const nothing = new FrozenCounts([]);

/** Throws RangeError when the shard's answer makes no sense. */
export function compareRows(
  election: ElectionSnapshot,
  shardId: number,
  recounted: ElectionCountsMessage | undefined,
  differencesMax: number,
): RowComparison {
  const { shape } = election;
  const differences: RecountDifference[] = [];
  let differenceCount = 0;
  const note = (region: number, cell: number, tally: number, rows: number) => {
    differenceCount += 1;
    if (differences.length < differencesMax) differences.push(difference(shape, shardId, region, cell, tally, rows));
  };
  const { counts, ballots, strays } = gather(shape, recounted);
  const tallied = election.counts.get(shardId) ?? nothing;
  for (const [region, cell, n] of strays) note(region, cell, 0, n);
  for (const index of tallied.differingCells(counts)) {
    const leafCount = shape.leaves.length;
    note(index % leafCount, Math.floor(index / leafCount), tallied.get(index), counts.get(index));
  }
  return { rows: BigInt(ballots), differenceCount, differences };
}

/** The recount by cell; counts for what the election does not have are strays: rows that somebody tampered with. */
function gather(shape: ElectionShape, recounted: ElectionCountsMessage | undefined) {
  const counts = new PagedCounts(shape.leaves.length * shape.cellMeanings.length);
  const strays: [region: number, cell: number, n: number][] = [];
  let ballots = 0;
  const { regions = [], cells = [], counts: numbers = [] } = recounted ?? {};
  if (regions.length !== numbers.length || cells.length !== numbers.length) {
    throw new RangeError("the columns of the recount differ in length");
  }
  numbers.forEach((number, i) => {
    const [region, cell, n] = [regions[i] ?? 0, cells[i] ?? 0, Number(number)];
    if (cell === ballotsCell) ballots += n;
    if (region >= shape.leaves.length || cell >= shape.cellMeanings.length) strays.push([region, cell, n]);
    else counts.add(cellIndex(shape, region, cell), n);
  });
  return { counts: counts.freeze(), ballots, strays };
}

function difference(
  shape: ElectionShape,
  shardId: number,
  region: number,
  cell: number,
  tally: number,
  rows: number,
): RecountDifference {
  const meaning = shape.cellMeanings[cell];
  const contestId = meaning === undefined ? `unknown cell ${cell}` : "contestId" in meaning ? meaning.contestId : "";
  return {
    $typeName: "urna.v1.RecountDifference",
    shardId,
    regionId: shape.leaves[region] ?? `unknown region ${region}`,
    contestId,
    optionId: meaning?.kind === "option" ? meaning.optionId : "",
    tally: BigInt(tally),
    rows: BigInt(rows),
  };
}
