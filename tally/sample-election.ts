/** Elections and count messages for the tests of this room. */
import { create } from "@bufbuild/protobuf";
import type { ElectionShape } from "#proto/election-shape.ts";
import { electionShape } from "#proto/election-shape.ts";
import {
  ContestKind,
  type ElectionDefinition,
  ElectionDefinitionSchema,
  ElectionState,
  KeyKind,
  ResultsVisibility,
} from "#proto/generated/urna/v1/election_pb.js";
import type { WatchCountsResponse } from "#proto/generated/urna/v1/shard_service_pb.js";
import { WatchCountsResponseSchema } from "#proto/generated/urna/v1/shard_service_pb.js";

/** Two counties, of which only the first is listed; the second contest is on its ballots alone. Live unless changed. */
export function sampleDefinition(change: Partial<ElectionDefinition> = {}): ElectionDefinition {
  const definition = create(ElectionDefinitionSchema, {
    electionId: "mayor",
    title: "Mayor of Sample",
    keyKind: KeyKind.VOTER,
    results: ResultsVisibility.LIVE,
    contests: [
      {
        contestId: "mayor",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "ada" }, { optionId: "ben" }],
      },
      {
        contestId: "bridge",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "yes" }, { optionId: "no" }],
        regionIds: ["north"],
      },
    ],
    regions: [
      { regionId: "north", title: "North County" },
      { regionId: "north/hill", title: "Hill", eligibleVoters: 100n },
      { regionId: "north/town/east", eligibleVoters: 200n },
      { regionId: "north/town/west", eligibleVoters: 300n },
      { regionId: "south/coast" },
    ],
  });
  return Object.assign(definition, change);
}

export function sampleShape(change: Partial<ElectionDefinition> = {}): ElectionShape {
  return electionShape(sampleDefinition(change));
}

/** Cells of the sample election. */
export const cell = { ballots: 0, ada: 1, ben: 2, mayorUndervotes: 3, yes: 4, no: 5, bridgeUndervotes: 6 } as const;

/** Leaf ordinals of the sample election. */
export const leaf = { hill: 0, east: 1, west: 2, coast: 3 } as const;

export type Delta = readonly [region: number, cell: number, n: number];

export type MessageContent = {
  readonly from: number;
  readonly through?: number;
  readonly electionId?: string;
  readonly deltas?: readonly Delta[];
  readonly state?: ElectionState;
};

/** A message of a shard's count stream; `through` is `from` where it is not given. */
export function countsMessage({ from, through = from, electionId = "mayor", deltas = [], state }: MessageContent) {
  return create(WatchCountsResponseSchema, {
    fromBatch: BigInt(from),
    throughBatch: BigInt(through),
    counts: deltas.length === 0 ? [] : [columns(electionId, deltas)],
    changes: state === undefined ? [] : [{ electionId, state, batch: BigInt(through) }],
  }) satisfies WatchCountsResponse;
}

export function columns(electionId: string, deltas: readonly Delta[]) {
  return {
    electionId,
    regions: deltas.map(([region]) => region),
    cells: deltas.map(([, cellNumber]) => cellNumber),
    counts: deltas.map(([, , n]) => BigInt(n)),
  };
}

/** One ballot for an option of the first contest, without the second. */
export function ballotFor(region: number, option: number): Delta[] {
  const deltas: Delta[] = [
    [region, cell.ballots, 1],
    [region, option, 1],
  ];
  return region === leaf.coast ? deltas : [...deltas, [region, cell.bridgeUndervotes, 1]];
}

/** A clock that stands still until it is moved. */
export class HandClock {
  #nowMs = 1_000_000;

  wallMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}

export const { CREATED, OPEN, CLOSED } = ElectionState;
