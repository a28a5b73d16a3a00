/** The elections that bad votes are aimed at, and a good vote of each. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import {
  ContestKind,
  ElectionDefinitionSchema,
  KeyKind,
  ResultsVisibility,
} from "#proto/generated/urna/v1/election_pb.js";
import type { VoteSchema } from "#proto/generated/urna/v1/vote_pb.js";

/** The fields of a vote, each of them optional. */
export type VoteInit = Exclude<MessageInitShape<typeof VoteSchema>, { $typeName: string }>;

export const town = "town";
/** Keyed by ballot, and sealed. */
export const sealed = "sealed-ballots";
export const unopened = "unopened";
export const closed = "closed";
export const timed = "closed-by-time";

export type OpeningTimes = { readonly opensAtMs: number; readonly closesAtMs: number };

/** Two contests everywhere, and one in the south alone. */
export function definitionOf(electionId: string, times?: OpeningTimes): ElectionDefinition {
  return create(ElectionDefinitionSchema, {
    electionId,
    title: electionId,
    keyKind: electionId === sealed ? KeyKind.BALLOT : KeyKind.VOTER,
    results: electionId === sealed ? ResultsVisibility.SEALED : ResultsVisibility.LIVE,
    contests: [
      contest("mayor", ["ann", "bob"], 1),
      contest("council", ["cleo", "dan", "eve"], 2),
      { ...contest("bridge", ["yes", "no"], 1), regionIds: ["south"] },
    ],
    regions: ["north/ward-1", "north/ward-2", "south/ward-3"].map((regionId) => ({ regionId })),
    ...(times === undefined
      ? {}
      : { opensAt: timestampFromMs(times.opensAtMs), closesAt: timestampFromMs(times.closesAtMs) }),
  });
}

function contest(contestId: string, optionIds: readonly string[], maxSelections: number) {
  const options = optionIds.map((optionId) => ({ optionId }));
  return { contestId, kind: ContestKind.PLURALITY, options, maxSelections };
}

/** A vote that fits: for Ann, in the north, with a key of its voter's own. */
export function goodVote(voter: string, electionId: string = town) {
  return {
    electionId,
    voter:
      electionId === sealed ? { case: "ballotId" as const, value: voter } : { case: "voterId" as const, value: voter },
    regionId: "north/ward-1",
    selections: [{ contestId: "mayor", optionIds: ["ann"] }],
    idempotencyKey: Buffer.from(voter.padEnd(16, ".").slice(0, 32)),
  } satisfies VoteInit;
}
