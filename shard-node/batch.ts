/**
 * A batch, sealed: everything that its transaction writes and everything that its votes will be answered with. Nothing of
 * it is revealed before its commit returns clean (design, cast path 9).
 */
import { randomBytes } from "node:crypto";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { TreeFrontier } from "#proto/ledger/tree-frontier.ts";
import { keyHashBytes } from "#proto/limits.ts";
import { type BatchLedger, growLedger, unchangedLedger } from "./batch-ledger.ts";
import type { ControlStep } from "./control-steps.ts";
import type { BallotKind, ElectionBook, ElectionEntry } from "./election-book.ts";
import { inNullifierOrder, sameVoter } from "./nullifier-order.ts";
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

/** The new votes of one election, in nullifier order; the first has the place `firstLeaf` in the log, the others follow. */
export type NewVotes = {
  readonly election: ElectionEntry;
  readonly votes: readonly WaitingVote[];
  readonly firstLeaf: number;
  /** Of each vote, in the same order. */
  readonly kinds: readonly BallotKind[];
};

/** A vote that a batch does not add, and what it is answered with. */
export type SettledVote = readonly [vote: WaitingVote, settlement: Settlement];

export type SealedBatch = {
  readonly identity: BatchIdentity;
  readonly stampMs: number;
  readonly mapEpoch: number;
  readonly treeSizeBefore: number;
  readonly newVotes: readonly NewVotes[];
  readonly newVoteCount: number;
  readonly deltas: CountDeltas;
  readonly control: readonly ControlStep[];
  readonly otherVotes: readonly SettledVote[];
  readonly ledger: BatchLedger;
};

/** Where a batch follows on: the head, and the tree of all leaves before it. */
export type LogEnd = { readonly head: Head; readonly tree: TreeFrontier };

/** The parts that every batch has. Each is stamped max(previous stamp, clock). */
export function sealEmpty({ head, tree }: LogEnd, nowMs: number, control: readonly ControlStep[] = []): SealedBatch {
  if (tree.size !== head.treeSize) throw new Error(`a tree of ${tree.size} leaves at a head of ${head.treeSize} (I8)`);
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
    otherVotes: [],
    ledger: unchangedLedger(tree),
  };
}

/** What the look-up found, by vote. */
export type Existing = ReadonlyMap<WaitingVote, ExistingVote>;

/**
 * Settles votes. Those of one voter in the order in which they arrived: a repeat is found before anything is refused (I3),
 * the first one wins (I2), a closed election takes none (I10). New ones get dense places in the log, election by election in
 * nullifier order: neither arrival order nor a time is in the log (ledger).
 */
export function sealVotes(
  end: LogEnd,
  nowMs: number,
  book: ElectionBook,
  votes: readonly WaitingVote[],
  existing: Existing,
): SealedBatch {
  const batch = sealEmpty(end, nowMs);
  const newVotes: NewVotes[] = [];
  const otherVotes: SettledVote[] = [];
  let leaf = batch.treeSizeBefore;
  for (const [electionId, group] of byElection(book, votes)) {
    const sealing = new ElectionSealing(book.entry(electionId), existing, otherVotes, leaf, batch.identity.number);
    sealing.settle(inNullifierOrder(group));
    leaf += sealing.fresh.length;
    if (sealing.election !== undefined && sealing.fresh.length > 0) {
      const { election, fresh, kinds } = sealing;
      newVotes.push({ election, votes: fresh, kinds, firstLeaf: leaf - fresh.length });
    }
  }
  const newVoteCount = leaf - batch.treeSizeBefore;
  const ledger = growLedger(end.tree, newVotes);
  return { ...batch, newVotes, newVoteCount, deltas: countDeltas(newVotes), otherVotes, ledger };
}

/** Answers every vote of a batch that is stored for good. */
export function answerVotes({ identity, newVotes, otherVotes }: SealedBatch): void {
  for (const { votes, firstLeaf } of newVotes) {
    for (let i = 0; i < votes.length; i++) votes[i]?.settleRecorded(firstLeaf + i, identity.number);
  }
  for (const [vote, settlement] of otherVotes) vote.settle(settlement);
}

/** In the order of the elections' numbers; those that this shard does not know come last. */
function byElection(book: ElectionBook, votes: readonly WaitingVote[]): [string, readonly WaitingVote[]][] {
  const first = votes[0]?.frame.electionId ?? "";
  if (votes.every(({ frame }) => frame.electionId === first)) return [[first, votes]];
  const numberOf = (electionId: string) => book.entry(electionId)?.number ?? Number.MAX_SAFE_INTEGER;
  return [...Map.groupBy(votes, ({ frame }) => frame.electionId)].sort(([a], [b]) => numberOf(a) - numberOf(b));
}

type Refusal = Exclude<RecordOutcome, RecordOutcome.RECORDED | RecordOutcome.REPEAT>;

/** The votes of one election in one batch. */
class ElectionSealing {
  readonly election: ElectionEntry | undefined;
  readonly fresh: WaitingVote[] = [];
  readonly kinds: BallotKind[] = [];
  readonly #existing: Existing;
  readonly #others: SettledVote[];
  readonly #firstLeaf: number;
  readonly #batch: number;

  constructor(
    election: ElectionEntry | undefined,
    existing: Existing,
    others: SettledVote[],
    firstLeaf: number,
    batch: number,
  ) {
    this.election = election;
    this.#existing = existing;
    this.#others = others;
    this.#firstLeaf = firstLeaf;
    this.#batch = batch;
  }

  /** In nullifier order, so that all votes of a voter stand side by side, in the order in which they arrived. */
  settle(sorted: readonly WaitingVote[]): void {
    for (const vote of sorted) {
      const known = this.#existing.size === 0 ? undefined : this.#existing.get(vote);
      const last = this.fresh[this.fresh.length - 1];
      if (known !== undefined) this.#others.push([vote, repeatOrTaken(vote, known)]);
      else if (last !== undefined && sameVoter(last, vote)) this.#others.push([vote, this.#echo(vote, last)]);
      else {
        const refusal = this.#take(vote);
        if (refusal !== undefined) this.#others.push([vote, { outcome: refusal }]);
      }
    }
  }

  /** Why a vote that is new is refused, or undefined when it is taken. Only the shard decides this. */
  #take(vote: WaitingVote): Refusal | undefined {
    const { election } = this;
    if (election === undefined) return RecordOutcome.UNKNOWN_ELECTION;
    if (election.closeBatch > 0) return RecordOutcome.CLOSED;
    if (election.openBatch === 0) return RecordOutcome.NOT_OPEN;
    if (election.hashLatin1 !== vote.frame.definitionHash) return RecordOutcome.WRONG_DEFINITION;
    const kind = election.kindOf(vote.region, vote.frame.ballots, vote.ballotStart, vote.ballotEnd);
    if (kind === undefined) return RecordOutcome.INTERNAL;
    this.fresh.push(vote);
    this.kinds.push(kind);
    return undefined;
  }

  /** Of a vote whose voter's first one was taken last. */
  #echo(vote: WaitingVote, first: WaitingVote): Settlement {
    const { keyHash, region, ballot } = first;
    const leafIndex = this.#firstLeaf + this.fresh.length - 1;
    return repeatOrTaken(vote, { keyHash, region, ballot, leafIndex, batch: this.#batch });
  }
}

const noKey = Buffer.alloc(keyHashBytes);

/** The same vote is the same key, region and ballot; without a key nothing is a repeat. */
function repeatOrTaken({ keyHash, region, ballot }: WaitingVote, first: ExistingVote): Settlement {
  const same =
    !keyHash.equals(noKey) && keyHash.equals(first.keyHash) && region === first.region && ballot.equals(first.ballot);
  if (!same) return { outcome: RecordOutcome.ALREADY_VOTED };
  return { outcome: RecordOutcome.REPEAT, leafIndex: first.leafIndex, batch: first.batch };
}

/** Each kind of ballot is added up once, however many there are of it. */
function countDeltas(newVotes: readonly NewVotes[]): CountDeltas {
  const deltas: CountDeltas = { elections: [], regions: [], cells: [], n: [] };
  for (const { election, kinds } of newVotes) {
    const cellsOfElection = election.shape.cellMeanings.length;
    const sums = new Map<number, number>();
    for (const kind of countKinds(kinds)) {
      const start = kind.region * cellsOfElection;
      for (let i = 0; i < kind.cells.length; i++) {
        const place = start + (kind.cells[i] as number);
        sums.set(place, (sums.get(place) ?? 0) + (kind.n[i] as number) * kind.votes);
      }
      kind.votes = 0;
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

function countKinds(kinds: readonly BallotKind[]): BallotKind[] {
  const distinct: BallotKind[] = [];
  for (const kind of kinds) {
    if (kind.votes === 0) distinct.push(kind);
    kind.votes += 1;
  }
  return distinct;
}
