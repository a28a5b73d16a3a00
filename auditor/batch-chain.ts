/** The batch log, one batch after the other, each checked against the one before it. */
import type { BatchFeed } from "./batch-feed.ts";
import type { FindingBook } from "./finding-book.ts";
import type { StoredBatch } from "./stored-batch.ts";

export type LogBatch = {
  readonly number: number;
  /** The leaves that it added: from the first up to, and without, the last. */
  readonly firstLeaf: number;
  readonly endLeaf: number;
  /** Undefined for the leaves of batches that are missing. */
  readonly stored: StoredBatch | undefined;
};

/** Where a chain begins: the batch before its first. */
export type ChainStart = Pick<StoredBatch, "number" | "treeSize" | "stampMs" | "writerEpoch">;

export const chainOrigin: ChainStart = {
  number: 0,
  treeSize: 0,
  stampMs: Number.NEGATIVE_INFINITY,
  writerEpoch: 0,
};

export class BatchChain {
  readonly #feed: BatchFeed;
  readonly #findings: FindingBook;
  readonly #shardId: number;
  readonly #endLeaf: number;
  #last: ChainStart;
  #ahead: LogBatch | undefined;

  /** No batch reaches beyond `endLeaf`, whatever it says of itself. */
  constructor(feed: BatchFeed, findings: FindingBook, shardId: number, start: ChainStart, endLeaf: number) {
    this.#feed = feed;
    this.#findings = findings;
    this.#shardId = shardId;
    this.#last = start;
    this.#endLeaf = endLeaf;
  }

  /** The last batch that was read. */
  get last(): ChainStart {
    return this.#last;
  }

  async next(): Promise<LogBatch | undefined> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined) return ahead;
    const stored = await this.#feed.next();
    if (stored === undefined) return undefined;
    const last = this.#last;
    const start = stored.treeSize - stored.votes;
    const isDense = this.#checkNumber(stored, last);
    this.#checkOrder(stored, last, isDense ? last.treeSize : Math.max(start, last.treeSize));
    const firstLeaf = isDense ? last.treeSize : Math.min(Math.max(start, last.treeSize), this.#endLeaf);
    const endLeaf = Math.min(Math.max(stored.treeSize, firstLeaf), this.#endLeaf);
    this.#last = { ...stored, treeSize: endLeaf };
    const batch = { number: stored.number, firstLeaf, endLeaf, stored };
    if (firstLeaf === last.treeSize) return batch;
    this.#ahead = batch;
    return { number: last.number + 1, firstLeaf: last.treeSize, endLeaf: firstLeaf, stored: undefined };
  }

  #checkNumber({ number }: StoredBatch, last: ChainStart): boolean {
    if (number === last.number + 1) return true;
    this.#findings.add({
      kind: "BATCH_MISSING",
      shardId: this.#shardId,
      batch: last.number + 1,
      throughBatch: number - 1,
      detail: `the log goes from batch ${last.number} to batch ${number}`,
    });
    return false;
  }

  #checkOrder(batch: StoredBatch, last: ChainStart, sizeBefore: number): void {
    const { number, treeSize, votes, stampMs, writerEpoch } = batch;
    const broken = (holds: boolean, detail: string) =>
      this.#findings.demand(holds, () => ({ kind: "BATCH_BROKEN", shardId: this.#shardId, batch: number, detail }));
    broken(
      treeSize === sizeBefore + votes,
      `it says that ${votes} votes make a log of ${sizeBefore} leaves one of ${treeSize}`,
    );
    broken(stampMs >= last.stampMs, "its stamp is before that of the batch before");
    broken(writerEpoch >= last.writerEpoch, `writer epoch ${writerEpoch} comes after ${last.writerEpoch}`);
  }
}
