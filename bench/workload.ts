/** Generated voters without end, for load: every vote is of a voter nobody has heard of. */
import { create } from "@bufbuild/protobuf";
import { BallotEncoder } from "#bench/ballot-encoder.ts";
import type { BallotCell } from "#bench/election-file.ts";
import { fileContestId } from "#bench/election-file.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import {
  ContestKind,
  ElectionDefinitionSchema,
  KeyKind,
  ResultsVisibility,
} from "#proto/generated/urna/v1/election_pb.js";

const counties = 10;
const precinctsPerCounty = 30;
export const loadOptions = ["ada", "bob", "cid"] as const;

/** Its votes are encoded already: a load generator that shares the machine must cost little. */
export class Workload {
  readonly definition: ElectionDefinition;
  readonly #encoder: BallotEncoder;
  readonly #cellCount: number;
  #drawn = 0;

  /** `electionId` must be new to the cluster, so that no voter has voted. */
  constructor(electionId: string) {
    const cells = cellsOf();
    this.definition = definitionOf(electionId);
    this.#encoder = new BallotEncoder(electionId, cells);
    this.#cellCount = cells.length;
  }

  /** An encoded CastVoteBatchRequest with the next votes. One vote is an encoded CastVoteRequest as well. */
  next(votes: number): Buffer {
    const cells = new Uint32Array(votes);
    const indexes = new Uint32Array(votes);
    for (let i = 0; i < votes; i++, this.#drawn++) {
      cells[i] = this.#drawn % this.#cellCount;
      indexes[i] = Math.floor(this.#drawn / this.#cellCount);
    }
    return this.#encoder.encode(cells, indexes, votes);
  }
}

function cellsOf(): BallotCell[] {
  const cells: BallotCell[] = [];
  for (const { countyId, regionId } of regions()) {
    for (const optionId of loadOptions) {
      cells.push({ countyId, regionId, optionId, voterIdPrefix: `${regionId}/${optionId}/`, ballots: Infinity });
    }
  }
  return cells;
}

function definitionOf(electionId: string): ElectionDefinition {
  return create(ElectionDefinitionSchema, {
    electionId,
    title: `Load: ${electionId}`,
    keyKind: KeyKind.VOTER,
    results: ResultsVisibility.LIVE,
    regions: regions().map(({ regionId }) => ({ regionId, title: regionId })),
    contests: [
      {
        contestId: fileContestId,
        title: "Contest",
        kind: ContestKind.PLURALITY,
        options: loadOptions.map((optionId) => ({ optionId, title: optionId })),
      },
    ],
  });
}

function regions(): { countyId: string; regionId: string }[] {
  return Array.from({ length: counties * precinctsPerCounty }, (_, n) => {
    const countyId = `county-${n % counties}`;
    return { countyId, regionId: `${countyId}/precinct-${Math.floor(n / counties)}` };
  });
}

/** The ids of all leaf regions. */
export const loadRegions: readonly string[] = regions().map(({ regionId }) => regionId);
