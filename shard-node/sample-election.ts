/** Elections, heads and frames of votes for the tests of this room. */
import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { electionShape, encodeBallot } from "#proto/election-shape.ts";
import {
  ContestKind,
  type ElectionDefinition,
  ElectionDefinitionSchema,
  ElectionState,
  KeyKind,
} from "#proto/generated/urna/v1/election_pb.js";
import type { RecordVotesRequest } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome, RecordVotesRequestSchema } from "#proto/generated/urna/v1/shard_service_pb.js";
import { hashBytes } from "#proto/ledger/merkle-hash.ts";
import { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import type { RecordOutcomes } from "#proto/record-frame.ts";
import type { LogEnd, SealedBatch, SettledVote } from "./batch.ts";
import { ElectionBook, ElectionEntry, type HomeRecord } from "./election-book.ts";
import type { Head } from "./takeover.ts";
import { WaitingFrame } from "./vote-frame.ts";

/** Cells of every sample election: two contests; of the second, two options may be selected, in the first leaf only. */
export const cell = {
  ballots: 0,
  ada: 1,
  ben: 2,
  mayorUndervotes: 3,
  park: 4,
  pool: 5,
  school: 6,
  worksUndervotes: 7,
} as const;

/** Leaf ordinals. */
export const leaf = { hill: 0, coast: 1 } as const;

export type Times = { readonly opensAtMs?: number; readonly closesAtMs?: number };

export function sampleDefinition(electionId: string, title = "", times: Times = {}): ElectionDefinition {
  return create(ElectionDefinitionSchema, {
    electionId,
    title,
    keyKind: KeyKind.VOTER,
    regions: [{ regionId: "north/hill" }, { regionId: "south/coast" }],
    contests: [
      {
        contestId: "mayor",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "ada" }, { optionId: "ben" }],
      },
      {
        contestId: "works",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "park" }, { optionId: "pool" }, { optionId: "school" }],
        maxSelections: 2,
        regionIds: ["north"],
      },
    ],
    ...(times.opensAtMs === undefined ? {} : { opensAt: timestampFromMs(times.opensAtMs) }),
    ...(times.closesAtMs === undefined ? {} : { closesAt: timestampFromMs(times.closesAtMs) }),
  });
}

export function sampleEntry(number: number, state: ElectionState, definition: ElectionDefinition): ElectionEntry {
  const entry = new ElectionEntry(number, electionShape(definition), new Uint8Array(60));
  entry.state = state;
  entry.openBatch = state >= ElectionState.OPEN ? 2 : 0;
  entry.closeBatch = state === ElectionState.CLOSED ? 3 : 0;
  return entry;
}

/** Elections by id, numbered from 1, each in its state. */
export function sampleBook(states: Readonly<Record<string, ElectionState>>): ElectionBook {
  const book = new ElectionBook();
  for (const [electionId, state] of Object.entries(states)) {
    book.add(sampleEntry(book.nextNumber(), state, sampleDefinition(electionId)));
  }
  return book;
}

export function sampleHome(definition: ElectionDefinition, wantedState: ElectionState): HomeRecord {
  const bytes = Buffer.from(toBinary(ElectionDefinitionSchema, definition));
  return {
    electionId: definition.electionId,
    definition: bytes,
    definitionHash: createHash("sha256").update(bytes).digest(),
    wrappedKey: Buffer.alloc(60),
    wantedState,
    createdAtMs: 1_000,
    requestedBy: "an admin",
  };
}

export const sampleHead: Head = {
  deployment: "urna",
  shardId: 0,
  shardCount: 1,
  writerEpoch: 4,
  batch: 10,
  mapEpoch: 1,
  treeSize: 100,
  stampMs: 5_000,
  generation: 1,
  writer: "shard-0-a/1f9c",
  resignedEpoch: 0,
};

/** A tree of so many leaves, none of which any vote has. */
export function sampleTree(size: number): TreeFrontier {
  const tree = TreeFrontier.empty();
  tree.append(Buffer.alloc(size * hashBytes, 7));
  return tree;
}

/** Where the batches of tests follow on. */
export const sampleEnd: LogEnd = { head: sampleHead, tree: sampleTree(sampleHead.treeSize) };

export type SampleVote = {
  readonly voter: string;
  /** None when left out. */
  readonly key?: string;
  readonly region?: number;
  readonly cells?: readonly number[];
  readonly deadlineMs?: number;
};

/** 16 bytes that look random and are always the same for one name. */
export function bytes16(name: string): Buffer {
  return createHash("sha256").update(name).digest().subarray(0, 16);
}

export function sampleRequest(electionId: string, votes: readonly SampleVote[], frameId = 7n): RecordVotesRequest {
  const ballots = votes.map((vote) => encodeBallot(vote.cells ?? [cell.ada]));
  return create(RecordVotesRequestSchema, {
    frameId,
    mapEpoch: 1n,
    electionId,
    definitionHash: electionShape(sampleDefinition(electionId)).definitionHash,
    nullifiers: Buffer.concat(votes.map((vote) => bytes16(vote.voter))),
    keyHashes: Buffer.concat(votes.map((vote) => (vote.key === undefined ? Buffer.alloc(16) : bytes16(vote.key)))),
    regions: votes.map((vote) => vote.region ?? leaf.hill),
    ballots: Buffer.concat(ballots),
    ballotLengths: ballots.map((ballot) => ballot.length),
    deadlineMs: votes.map((vote) => vote.deadlineMs ?? 1_000),
  });
}

/** A frame received at 0 ms, and its answers as they come: one, or this is a test that fails. */
export function sampleFrame(electionId: string, votes: readonly SampleVote[]) {
  const answers: RecordOutcomes[] = [];
  const frame = new WaitingFrame(sampleRequest(electionId, votes), "urna/shard/0", 0, (answer) => answers.push(answer));
  return { frame, answers };
}

export function outcomeNames(answer: { readonly outcomes: Iterable<number> } | undefined): (string | undefined)[] {
  return [...(answer?.outcomes ?? [])].map((outcome) => RecordOutcome[outcome]);
}

/** What every vote of a batch is answered with. */
export function answersOf({ identity, newVotes, otherVotes }: SealedBatch): SettledVote[] {
  const recorded = newVotes.flatMap(({ votes, firstLeaf }) =>
    votes.map((vote, i): SettledVote => {
      return [vote, { outcome: RecordOutcome.RECORDED, leafIndex: firstLeaf + i, batch: identity.number }];
    }),
  );
  return [...recorded, ...otherVotes];
}
