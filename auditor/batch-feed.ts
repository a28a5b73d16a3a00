/** The batch log, read ahead in small pieces: a batch with many votes has some ten kilobytes. */
import type pg from "pg";
import { readBatches, type StoredBatch } from "./stored-batch.ts";

const batchesPerRead = 256;

export class BatchFeed {
  readonly #client: pg.Client;
  readonly #through: number;
  #after: number;
  #read: readonly StoredBatch[] = [];
  #at = 0;

  /** Of the batches after one, up to another. */
  constructor(client: pg.Client, after: number, through: number) {
    this.#client = client;
    this.#after = after;
    this.#through = through;
  }

  /** The next batch there is; undefined at the end. */
  async next(): Promise<StoredBatch | undefined> {
    if (this.#at === this.#read.length) {
      this.#read = await readBatches(this.#client, this.#after, this.#through, batchesPerRead);
      this.#at = 0;
    }
    const batch = this.#read[this.#at++];
    if (batch !== undefined) this.#after = batch.number;
    return batch;
  }
}
