/**
 * The counts of one region as callers read them: the sums of its leaves over all shards. Messages are written as plain
 * objects, which is what protobuf-es reads: a region may have 20,000 children, and `create` costs several times more.
 */
import type { ContestShape } from "#proto/election-shape.ts";
import { ballotsCell } from "#proto/election-shape.ts";
import type { ContestCount, RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { ElectionSnapshot } from "./election-counts.ts";
import { cellIndex } from "./election-counts.ts";
import type { RegionNode } from "./region-tree.ts";

/** Only ballots while the election is sealed. */
export function regionTally(election: ElectionSnapshot, region: RegionNode): RegionTally {
  const { regionId, title, eligibleVoters } = region;
  return {
    $typeName: "urna.v1.RegionTally",
    regionId,
    title,
    ballots: cellSum(election, region, ballotsCell),
    contests: election.sealed ? [] : region.contests.map((contest) => contestCount(election, region, contest)),
    ...(eligibleVoters === undefined ? {} : { eligibleVoters }),
  };
}

function contestCount(election: ElectionSnapshot, region: RegionNode, contest: ContestShape): ContestCount {
  return {
    $typeName: "urna.v1.ContestCount",
    contestId: contest.contestId,
    options: contest.optionIds.map((optionId, i) => ({
      $typeName: "urna.v1.OptionCount",
      optionId,
      count: cellSum(election, region, contest.firstCell + i),
    })),
    undervotes: cellSum(election, region, contest.undervoteCell),
  };
}

function cellSum(election: ElectionSnapshot, region: RegionNode, cell: number): bigint {
  const start = cellIndex(election.shape, 0, cell);
  let sum = 0;
  for (const counts of election.counts.values()) sum += counts.sum(start, region.leaves);
  return BigInt(sum);
}
