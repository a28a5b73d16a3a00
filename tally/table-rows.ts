/** A part of an election's table: some of its leaf regions, in the order of the definition, at one cut. */
import type { GetTallyTableResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { ElectionSnapshot } from "./election-counts.ts";
import type { Frame } from "./frame.ts";
import { regionTally } from "./region-tally.ts";

/** Throws UNKNOWN_ELECTION. */
export function tableRows(frame: Frame, electionId: string, first: number, count: number): GetTallyTableResponse {
  const election = frame.election(electionId);
  return {
    $typeName: "urna.v1.GetTallyTableResponse",
    cut: frame.cut(electionId),
    regions: election.shape.leaves
      .slice(first, first + count)
      .map((leaf) => regionTally(election, nodeOf(election, leaf))),
  };
}

function nodeOf({ regions }: ElectionSnapshot, regionId: string) {
  const node = regions.get(regionId);
  if (node === undefined) throw new Error(`the tree lacks the region "${regionId}"`);
  return node;
}
