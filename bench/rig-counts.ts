/** Folds the counts that a shard node streams, as the tally would, and asks for recounts. */
import type { RigNode } from "#bench/rig-node.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { ElectionCounts } from "#proto/generated/urna/v1/shard_service_pb.js";

const limitMs = 20_000;

/** By "election region cell"; cells that are 0 are not in it. */
export type CellSums = Readonly<Record<string, bigint>>;

/** The sums up to a batch. */
export class CountCut {
  readonly throughBatch: number;
  readonly cells: CellSums;

  constructor(throughBatch: number, cells: CellSums) {
    this.throughBatch = throughBatch;
    this.cells = cells;
  }

  /** One election's cells. */
  of(electionId: string): CellSums {
    return Object.fromEntries(Object.entries(this.cells).filter(([place]) => place.startsWith(`${electionId} `)));
  }

  /** How many ballots of an election are counted. */
  ballotsOf(electionId: string): bigint {
    const ballots = Object.entries(this.of(electionId)).filter(([place]) => place.endsWith(" 0"));
    return ballots.reduce((sum, [, n]) => sum + n, 0n);
  }

  /** What came after an earlier cut. */
  since(earlier: CountCut): CountCut {
    const grown = new Map(Object.entries(this.cells));
    for (const [place, n] of Object.entries(earlier.cells)) addTo(grown, place, -n);
    return new CountCut(this.throughBatch, Object.fromEntries(grown));
  }
}

/** Follows one node's counts from a batch on; throws in `reaches` when messages do not join. */
export class CountFold {
  readonly #cells = new Map<string, bigint>();
  readonly #leaving = new AbortController();
  readonly #ended: Promise<string>;
  #through: number;
  #gap: string | undefined;

  private constructor(node: RigNode, afterBatch: number) {
    this.#through = afterBatch;
    this.#ended = this.#fold(node);
  }

  static follow(node: RigNode, afterBatch: number): CountFold {
    return new CountFold(node, afterBatch);
  }

  now(): CountCut {
    return new CountCut(this.#through, Object.fromEntries(this.#cells));
  }

  /** The sums once they reach this batch, or a little later. */
  async reaches(batch: number): Promise<CountCut> {
    return await waitFor(`the counts to reach batch ${batch}`, limitMs, () => {
      if (this.#gap !== undefined) throw new Error(this.#gap);
      return this.#through >= batch ? this.now() : undefined;
    });
  }

  /** Ends it, and answers why the stream had ended: a rejection's reason, or "left" when we left. */
  async stop(): Promise<string> {
    const ended = await Promise.race([this.#ended, Promise.resolve(undefined)]);
    this.#leaving.abort();
    return ended ?? (await this.#ended);
  }

  async #fold(node: RigNode): Promise<string> {
    const { signal } = this.#leaving;
    try {
      for await (const message of node.client.watchCounts({ afterBatch: BigInt(this.#through) }, { signal })) {
        if (Number(message.fromBatch) !== this.#through + 1) {
          this.#gap = `counts from batch ${message.fromBatch} came after batch ${this.#through} (I5)`;
        }
        for (const counts of message.counts) addCounts(this.#cells, counts);
        this.#through = Number(message.throughBatch);
      }
      return "ended";
    } catch (error) {
      if (signal.aborted) return "left";
      return error instanceof Error && "reason" in error ? String(error.reason) : String(error);
    }
  }
}

/** Counts the rows of an election up to a batch. */
export async function recountAt(node: RigNode, electionId: string, throughBatch: number): Promise<CellSums> {
  const cells = new Map<string, bigint>();
  for await (const { part } of node.client.recountVotes({ electionId, throughBatch: BigInt(throughBatch) })) {
    if (part.case === "counts") addCounts(cells, part.value);
  }
  return Object.fromEntries(cells);
}

function addCounts(sums: Map<string, bigint>, { electionId, regions, cells, counts }: ElectionCounts): void {
  for (const [i, n] of counts.entries()) addTo(sums, `${electionId} ${regions[i]} ${cells[i]}`, n);
}

function addTo(sums: Map<string, bigint>, place: string, n: bigint): void {
  const sum = (sums.get(place) ?? 0n) + n;
  if (sum === 0n) sums.delete(place);
  else sums.set(place, sum);
}
