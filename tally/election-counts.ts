/** What one election has come to, shard by shard: counts by (leaf region, cell), and where each shard's copy stands. */
import type { ElectionShape } from "#proto/election-shape.ts";
import { ElectionState, ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import type { FrozenCounts } from "./paged-counts.ts";
import { PagedCounts } from "./paged-counts.ts";
import type { RegionNode } from "./region-tree.ts";
import { regionTree } from "./region-tree.ts";

/** One election in a frame: nothing in it changes. */
export type ElectionSnapshot = {
  readonly shape: ElectionShape;
  readonly regions: ReadonlyMap<string, RegionNode>;
  /** By shard; a shard that counted nothing yet is absent. Indexed by `cellIndex`. */
  readonly counts: ReadonlyMap<number, FrozenCounts>;
  readonly state: ElectionState;
  /** Every shard has closed the election within the vector: no count will change (I10). */
  readonly final: boolean;
  /** Only ballots may be shown. */
  readonly sealed: boolean;
};

/** Counts of one cell lie side by side, leaf by leaf: a contest of few precincts touches few pages. */
export function cellIndex(shape: ElectionShape, leafOrdinal: number, cell: number): number {
  return cell * shape.leaves.length + leafOrdinal;
}

export class ElectionCounts {
  readonly shape: ElectionShape;
  readonly #regions: ReadonlyMap<string, RegionNode>;
  readonly #counts = new Map<number, PagedCounts>();
  readonly #states = new Map<number, ElectionState>();
  #snapshot: ElectionSnapshot | undefined;

  constructor(shape: ElectionShape) {
    this.shape = shape;
    this.#regions = regionTree(shape);
  }

  /** Whether any shard has spoken of the election. */
  get heardOf(): boolean {
    return this.#counts.size > 0 || this.#states.size > 0;
  }

  stateOn(shardId: number): ElectionState {
    return this.#states.get(shardId) ?? ElectionState.UNSPECIFIED;
  }

  add(shardId: number, leafOrdinal: number, cell: number, n: number): void {
    let counts = this.#counts.get(shardId);
    if (counts === undefined) {
      counts = new PagedCounts(this.shape.leaves.length * this.shape.cellMeanings.length);
      this.#counts.set(shardId, counts);
    }
    counts.add(cellIndex(this.shape, leafOrdinal, cell), n);
    this.#snapshot = undefined;
  }

  enter(shardId: number, state: ElectionState): void {
    this.#states.set(shardId, state);
    this.#snapshot = undefined;
  }

  /** The same object until something changes. `shardIds` are all shards that there are. */
  snapshot(shardIds: ReadonlySet<number>): ElectionSnapshot {
    this.#snapshot ??= this.#makeSnapshot(shardIds);
    return this.#snapshot;
  }

  /** For when the set of shards has changed. */
  forgetSnapshot(): void {
    this.#snapshot = undefined;
  }

  #makeSnapshot(shardIds: ReadonlySet<number>): ElectionSnapshot {
    const state = this.#stateOver(shardIds);
    const final = state === ElectionState.CLOSED;
    return {
      shape: this.shape,
      regions: this.#regions,
      counts: new Map([...this.#counts].map(([shardId, counts]) => [shardId, counts.freeze()])),
      state,
      final,
      sealed: !final && this.shape.definition.results !== ResultsVisibility.LIVE,
    };
  }

  /** Closed when every shard is; open from the first shard that opened, for from then on votes arrive. */
  #stateOver(shardIds: ReadonlySet<number>): ElectionState {
    const states = [...shardIds].map((shardId) => this.stateOn(shardId));
    if (states.length > 0 && states.every((state) => state === ElectionState.CLOSED)) return ElectionState.CLOSED;
    return states.some((state) => state >= ElectionState.OPEN) ? ElectionState.OPEN : ElectionState.CREATED;
  }
}
