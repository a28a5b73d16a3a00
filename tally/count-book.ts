/**
 * The counts of all elections, folded from the count streams of the shards: every batch of every shard exactly once, in
 * order. A message is checked whole before any of it is added, so that a faulty one leaves no trace. Nothing here can
 * lower a count (I7), and nothing is kept that the shards could not tell again.
 */
import type { ElectionShape } from "#proto/election-shape.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type {
  ElectionChange,
  ElectionCounts as ElectionCountsMessage,
  WatchCountsResponse,
} from "#proto/generated/urna/v1/shard_service_pb.js";
import type { ElectionSnapshot } from "./election-counts.ts";
import { ElectionCounts } from "./election-counts.ts";

export type FoldOutcome =
  | { readonly kind: "folded" }
  /** A gap or a duplicate: resume the stream after what was folded. */
  | { readonly kind: "out-of-order"; readonly expectedBatch: bigint; readonly fromBatch: bigint }
  /** What no sound shard can send. */
  | { readonly kind: "impossible"; readonly why: string };

/** All counts at one cut. Nothing in it changes. */
export type BookSnapshot = {
  /** For each shard that was read, the batch it reaches; a shard not yet read is absent, never zero (I7). */
  readonly vector: ReadonlyMap<number, bigint>;
  readonly elections: ReadonlyMap<string, ElectionSnapshot>;
};

export class CountBook {
  readonly #shardIds: Set<number>;
  readonly #folded = new Map<number, bigint>();
  readonly #elections = new Map<string, ElectionCounts>();
  #snapshot: BookSnapshot | undefined;

  constructor(shardIds: Iterable<number> = []) {
    this.#shardIds = new Set(shardIds);
  }

  /** All shards that an election must have closed on to be final. */
  get shardIds(): ReadonlySet<number> {
    return this.#shardIds;
  }

  expectShard(shardId: number): void {
    if (this.#shardIds.has(shardId)) return;
    this.#shardIds.add(shardId);
    for (const election of this.#elections.values()) election.forgetSnapshot();
    this.#snapshot = undefined;
  }

  /** The last batch folded; 0 when the shard was not read yet. */
  foldedBatch(shardId: number): bigint {
    return this.#folded.get(shardId) ?? 0n;
  }

  knows(electionId: string): boolean {
    return this.#elections.has(electionId);
  }

  /** Counts of an election can be folded from now on. The same definition again changes nothing; another one throws. */
  define(shape: ElectionShape): void {
    const { electionId } = shape.definition;
    const known = this.#elections.get(electionId);
    if (known === undefined) this.#elections.set(electionId, new ElectionCounts(shape));
    else if (!known.shape.definitionHash.equals(shape.definitionHash)) {
      throw new Error(`two definitions of election "${electionId}" are about`);
    }
  }

  /** The elections of a message must have been defined. */
  fold(shardId: number, message: WatchCountsResponse): FoldOutcome {
    if (!this.#shardIds.has(shardId)) throw new Error(`CountBook: shard ${shardId} is not expected`);
    const expectedBatch = this.foldedBatch(shardId) + 1n;
    if (message.fromBatch !== expectedBatch) {
      return { kind: "out-of-order", expectedBatch, fromBatch: message.fromBatch };
    }
    const why = this.#faultOf(shardId, message);
    if (why !== undefined) return { kind: "impossible", why };
    for (const counts of message.counts) this.#add(shardId, counts);
    for (const { electionId, state } of message.changes) this.#election(electionId).enter(shardId, state);
    this.#folded.set(shardId, message.throughBatch);
    this.#snapshot = undefined;
    return { kind: "folded" };
  }

  /** The same object until something changes, so that comparing two tells whether anything did. */
  snapshot(): BookSnapshot {
    this.#snapshot ??= {
      vector: new Map([...this.#folded].sort(([a], [b]) => a - b)),
      elections: new Map(
        [...this.#elections]
          .filter(([, election]) => election.heardOf)
          .map(([electionId, election]) => [electionId, election.snapshot(this.#shardIds)]),
      ),
    };
    return this.#snapshot;
  }

  #election(electionId: string): ElectionCounts {
    const election = this.#elections.get(electionId);
    if (election === undefined) throw new Error(`CountBook: election "${electionId}" was not defined`);
    return election;
  }

  #add(shardId: number, { electionId, regions, cells, counts }: ElectionCountsMessage): void {
    const election = this.#election(electionId);
    counts.forEach((n, i) => {
      election.add(shardId, regions[i] ?? 0, cells[i] ?? 0, Number(n));
    });
  }

  #faultOf(shardId: number, message: WatchCountsResponse): string | undefined {
    const { fromBatch, throughBatch } = message;
    if (throughBatch < fromBatch) return `it ends at batch ${throughBatch}, before its beginning ${fromBatch}`;
    for (const counts of message.counts) {
      const fault = countsFault(this.#election(counts.electionId), shardId, counts);
      if (fault !== undefined) return `election "${counts.electionId}": ${fault}`;
    }
    const reached = new Map<string, ElectionState>();
    for (const change of message.changes) {
      const before = reached.get(change.electionId) ?? this.#election(change.electionId).stateOn(shardId);
      const fault = changeFault(change, before, throughBatch);
      if (fault !== undefined) return `election "${change.electionId}": ${fault}`;
      reached.set(change.electionId, change.state);
    }
    return undefined;
  }
}

function countsFault(election: ElectionCounts, shardId: number, message: ElectionCountsMessage): string | undefined {
  const { regions, cells, counts } = message;
  if (regions.length !== counts.length || cells.length !== counts.length) return "its columns differ in length";
  // I10: what comes after the close batch does not count.
  if (counts.length > 0 && election.stateOn(shardId) === ElectionState.CLOSED) return "counts after the close";
  const leafCount = election.shape.leaves.length;
  const cellCount = election.shape.cellMeanings.length;
  for (let i = 0; i < counts.length; i++) {
    const [region, cell, n] = [regions[i] ?? leafCount, cells[i] ?? cellCount, counts[i] ?? 0n];
    if (region >= leafCount) return `there is no region ${region}`;
    if (cell >= cellCount) return `there is no cell ${cell}`;
    // I5: votes are only ever added. A negative number sent as uint64 arrives as a huge one.
    if (n > Number.MAX_SAFE_INTEGER) return `region ${region}, cell ${cell} cannot grow by ${n}`;
  }
  return undefined;
}

function changeFault(change: ElectionChange, before: ElectionState, throughBatch: bigint): string | undefined {
  const { state, batch } = change;
  if (ElectionState[state] === undefined || state === ElectionState.UNSPECIFIED) return `there is no state ${state}`;
  if (state < before) return `it went back from state ${ElectionState[before]} to ${ElectionState[state]}`;
  if (batch > throughBatch) return `its change is at batch ${batch}, beyond ${throughBatch}`;
  return undefined;
}
