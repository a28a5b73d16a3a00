/** The elections and voters of failure stories: small, with every kind of ballot, and the same each time. */
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { SentVote } from "#bench/vote-ledger.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import {
  ContestKind,
  ElectionDefinitionSchema,
  KeyKind,
  ResultsVisibility,
} from "#proto/generated/urna/v1/election_pb.js";
import { slotOf } from "#proto/slots.ts";

export const storyContestId = "mayor";
export const storyOptions = ["ada", "bob", "cid"] as const;
export const storyLeaves = ["north/ward-1", "north/ward-2", "south/ward-3", "south/ward-4"] as const;

export type StoryOption = (typeof storyOptions)[number];
export type DefinitionChange = Partial<Pick<ElectionDefinition, "title" | "keyKind" | "results">>;

export function storyDefinition(electionId: string, change: DefinitionChange = {}): ElectionDefinition {
  return create(ElectionDefinitionSchema, {
    electionId,
    title: `Story: ${electionId}`,
    keyKind: KeyKind.VOTER,
    results: ResultsVisibility.LIVE,
    regions: ["north", "south", ...storyLeaves].map((regionId) => ({ regionId, title: regionId })),
    contests: [
      {
        contestId: storyContestId,
        title: "Mayor",
        kind: ContestKind.PLURALITY,
        options: storyOptions.map((optionId) => ({ optionId, title: optionId })),
      },
    ],
    ...change,
  });
}

/** One in this many voters leaves the contest blank. */
const undervoteEvery = 7;

/** The n-th voter's own choice, with a key of their own; always the same. */
export function storyVote(electionId: string, n: number): SentVote {
  const optionId = storyOptions[n % storyOptions.length] ?? "ada";
  return {
    electionId,
    voterId: `voter-${n}`,
    regionId: storyLeaves[n % storyLeaves.length] ?? "",
    selections: n % undervoteEvery === 0 ? [] : [{ contestId: storyContestId, optionIds: [optionId] }],
    idempotencyKey: createHash("sha256").update(`${electionId} ${n}`).digest().subarray(0, 16),
  };
}

/** The same voter with another mind: this option, in the same region, with the same key. */
export function choosing(vote: SentVote, optionId: StoryOption): SentVote {
  return { ...vote, selections: [{ contestId: storyContestId, optionIds: [optionId] }] };
}

/** The same choice with another idempotency key. */
export function withAnotherKey(vote: SentVote): SentVote {
  const idempotencyKey = createHash("sha256").update(vote.idempotencyKey).digest().subarray(0, 16);
  return { ...vote, idempotencyKey };
}

/** An election id that begins so and whose home is this one of two shards. */
export function idAtHome(prefix: string, shardId: 0 | 1): string {
  for (let n = 0; ; n++) {
    const electionId = `${prefix}-${n}`;
    const slot = slotOf(createHash("sha256").update(electionId).digest());
    if (Number(slot >= 8_192) === shardId) return electionId;
  }
}
