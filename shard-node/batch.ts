/**
 * A batch, sealed: everything that its transaction writes and everything that its votes will be answered with. Nothing of
 * it is revealed before its commit returns clean (design, cast path 9).
 */
import { randomBytes } from "node:crypto";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { ControlStep } from "./control-steps.ts";
import type { ElectionBook, ElectionEntry } from "./election-book.ts";
import type { Head } from "./takeover.ts";
import type { Settlement, WaitingVote } from "./vote-frame.ts";
import type { ExistingVote } from "./vote-lookup.ts";

/** Number, writer epoch and 16 random bytes: a number alone is no identity (design, cast path 6). */
export type BatchIdentity = { readonly number: number; readonly writerEpoch: number; readonly batchId: string };

/** Column by column: n[i] is what cell cells[i] of region regions[i] in election elections[i] grows by. */
export type CountDeltas = {
  readonly elections: number[];
  readonly regions: number[];
  readonly cells: number[];
  readonly n: number[];
};

/** The new votes of one election, in nullifier order, with their places in the log. */
export type NewVotes = {
  readonly election: ElectionEntry;
  readonly votes: readonly WaitingVote[];
  readonly leafIndexes: readonly number[];
};

export type SealedBatch = {
  readonly identity: BatchIdentity;
  readonly stampMs: number;
  readonly mapEpoch: number;
  readonly treeSizeBefore: number;
  readonly newVotes: readonly NewVotes[];
  readonly newVoteCount: number;
  readonly deltas: CountDeltas;
  readonly control: readonly ControlStep[];
  readonly answers: readonly (readonly [vote: WaitingVote, settlement: Settlement])[];
};

/** The parts that every batch has. Each is stamped max(previous stamp, clock). */
export function sealEmpty(head: Head, nowMs: number, control: readonly ControlStep[] = []): SealedBatch {
  return {
    identity: {
      number: head.batch + 1,
      writerEpoch: head.writerEpoch,
      batchId: randomBytes(16).toString("latin1"),
    },
    stampMs: Math.max(head.stampMs, nowMs),
    mapEpoch: head.mapEpoch,
    treeSizeBefore: head.treeSize,
    newVotes: [],
    newVoteCount: 0,
    deltas: { elections: [], regions: [], cells: [], n: [] },
    control,
    answers: [],
  };
}

/** What the look-up found, by vote. */
export type Existing = ReadonlyMap<WaitingVote, ExistingVote>;

/**
 * Settles votes, in the order in which they arrived: a repeat is found before anything is refused (I3), the first vote of a
 * voter wins (I2), a closed election takes none (I10).
 */
export function sealVotes(
  head: Head,
  nowMs: number,
  book: ElectionBook,
  votes: readonly WaitingVote[],
  existing: Existing,
): SealedBatch {
  const settled: [WaitingVote, Settlement][] = [];
  const fresh = new FreshVotes();
  const echoes: [vote: WaitingVote, first: WaitingVote][] = [];
  for (const vote of votes) {
    const known = existing.size === 0 ? undefined : existing.get(vote);
    const first = fresh.firstOf(vote);
    if (known !== undefined) settled.push([vote, repeatOrTaken(vote, known)]);
    else if (first !== undefined) echoes.push([vote, first]);
    else {
      const refusal = refusalOf(book, vote);
      if (refusal === undefined) fresh.add(vote);
      else settled.push([vote, { outcome: refusal }]);
    }
  }
  const batch = sealEmpty(head, nowMs);
  const leaves = placeInLog(fresh.all, head.treeSize);
  for (const [vote, leafIndex] of leaves) {
    settled.push([vote, { outcome: RecordOutcome.RECORDED, leafIndex, batch: batch.identity.number }]);
  }
  for (const [vote, first] of echoes) {
    const { keyHash, region, ballot } = first;
    const leafIndex = leaves.get(first) ?? 0;
    settled.push([vote, repeatOrTaken(vote, { keyHash, region, ballot, leafIndex, batch: batch.identity.number })]);
  }
  const newVotes = byElection(book, leaves);
  return { ...batch, newVotes, newVoteCount: leaves.size, deltas: countDeltas(newVotes), answers: settled };
}

/** The first vote of each voter, election by election. */
class FreshVotes {
  readonly all: WaitingVote[] = [];
  readonly #elections = new Map<string, Map<string, WaitingVote>>();

  firstOf({ frame, nullifier }: WaitingVote): WaitingVote | undefined {
    return this.#elections.get(frame.electionId)?.get(nullifier);
  }

  add(vote: WaitingVote): void {
    const { electionId } = vote.frame;
    const voters = this.#elections.get(electionId) ?? new Map<string, WaitingVote>();
    voters.set(vote.nullifier, vote);
    this.#elections.set(electionId, voters);
    this.all.push(vote);
  }
}

/** Why the writer refuses a vote that is new, or undefined. Only the shard decides this. */
function refusalOf(
  book: ElectionBook,
  vote: WaitingVote,
): Exclude<RecordOutcome, RecordOutcome.RECORDED | RecordOutcome.REPEAT> | undefined {
  const election = book.entry(vote.frame.electionId);
  if (election === undefined) return RecordOutcome.UNKNOWN_ELECTION;
  if (election.closeBatch > 0) return RecordOutcome.CLOSED;
  if (election.openBatch === 0) return RecordOutcome.NOT_OPEN;
  if (election.hashLatin1 !== vote.frame.definitionHash) return RecordOutcome.WRONG_DEFINITION;
  if (election.countsOf(vote.region, vote.ballot) === undefined) return RecordOutcome.INTERNAL;
  return undefined;
}

const noKey = "\0".repeat(16);

/** The same vote is the same key, region and ballot; without a key nothing is a repeat. */
function repeatOrTaken(vote: WaitingVote, first: ExistingVote): Settlement {
  const same =
    vote.keyHash !== noKey &&
    vote.keyHash === first.keyHash &&
    vote.region === first.region &&
    vote.ballot === first.ballot;
  if (!same) return { outcome: RecordOutcome.ALREADY_VOTED };
  return { outcome: RecordOutcome.REPEAT, leafIndex: first.leafIndex, batch: first.batch };
}

/** Dense leaf numbers in nullifier order: neither arrival order nor a time is in the log (ledger). */
function placeInLog(votes: readonly WaitingVote[], treeSize: number): Map<WaitingVote, number> {
  const sorted = votes.toSorted((a, b) => (a.nullifier < b.nullifier ? -1 : a.nullifier > b.nullifier ? 1 : 0));
  return new Map(sorted.map((vote, i) => [vote, treeSize + i]));
}

function byElection(book: ElectionBook, leaves: ReadonlyMap<WaitingVote, number>): NewVotes[] {
  const groups = new Map<string, { election: ElectionEntry; votes: WaitingVote[]; leafIndexes: number[] }>();
  for (const [vote, leafIndex] of leaves) {
    const { electionId } = vote.frame;
    let group = groups.get(electionId);
    if (group === undefined) {
      const election = book.entry(electionId);
      if (election === undefined) throw new Error(`a vote of "${electionId}", which is not in the book, was accepted`);
      group = { election, votes: [], leafIndexes: [] };
      groups.set(electionId, group);
    }
    group.votes.push(vote);
    group.leafIndexes.push(leafIndex);
  }
  return [...groups.values()];
}

function countDeltas(newVotes: readonly NewVotes[]): CountDeltas {
  const deltas: CountDeltas = { elections: [], regions: [], cells: [], n: [] };
  for (const { election, votes } of newVotes) {
    const cellsOfElection = election.shape.cellMeanings.length;
    const sums = new Map<number, number>();
    for (const vote of votes) {
      const counts = election.countsOf(vote.region, vote.ballot);
      if (counts === undefined) throw new Error("a ballot that cannot be counted was accepted (I5)");
      const start = vote.region * cellsOfElection;
      for (const [cell, n] of counts) sums.set(start + cell, (sums.get(start + cell) ?? 0) + n);
    }
    for (const [place, n] of sums) {
      deltas.elections.push(election.number);
      deltas.regions.push(Math.floor(place / cellsOfElection));
      deltas.cells.push(place % cellsOfElection);
      deltas.n.push(n);
    }
  }
  return deltas;
}
