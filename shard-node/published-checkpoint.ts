/**
 * The shard's newest signed checkpoint. A head is signed once, at most ten times a second, soon after a batch with new leaves
 * is durable, and never before (I1, I8). What is published is kept in a file of this node too, outside the database: once a
 * second, because replacing a file may wait for the disk.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#mesh/log.ts";
import { formatCheckpoint } from "#proto/ledger/checkpoint.ts";
import { formatVerifierKey, type NoteSigner, noteSigner, signNote } from "#proto/ledger/signed-note.ts";
import type { CountFeed, LedgerHead } from "./count-feed.ts";
import type { ShardKey } from "./shard-key.ts";
import type { WitnessFile } from "./witness-file.ts";

const signEveryMs = 100;
const keepEveryMs = 1_000;

export class PublishedCheckpoint {
  readonly #feed: CountFeed;
  readonly #signer: NoteSigner;
  readonly #file: WitnessFile;
  readonly #log: Logger;
  readonly verifierKey: string;
  #signed: LedgerHead | undefined;
  #note: Buffer = Buffer.alloc(0);
  #kept: Buffer = Buffer.alloc(0);

  constructor(feed: CountFeed, origin: string, key: ShardKey, file: WitnessFile, log: Logger) {
    this.#feed = feed;
    this.#signer = noteSigner(origin, key.privateKey);
    this.verifierKey = formatVerifierKey(origin, key.publicKey);
    this.#file = file;
    this.#log = log;
    this.#publish();
  }

  /** A signed note; see proto/ledger/checkpoint.ts for its text. */
  get note(): Buffer {
    return this.#note;
  }

  /** The note that the shard signs over this text, in the name of its log. */
  sign(text: string): Buffer {
    return signNote(text, this.#signer);
  }

  /** Until the signal aborts; the newest is in the file then. */
  async keepPublishing(signal: AbortSignal): Promise<void> {
    const keeping = this.#keepInFile(signal);
    while (!signal.aborted) {
      await this.#feed.reaches(this.#feed.durableBatch + 1, signal);
      this.#publish();
      await delay(signEveryMs, undefined, { signal }).catch(() => undefined);
    }
    await keeping;
    // What was acknowledged in the last moments, too: the next takeover looks into the file.
    this.#publish();
    await this.#keep();
  }

  async #keepInFile(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#keep();
      await delay(keepEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #keep(): Promise<void> {
    const note = this.#note;
    if (note === this.#kept) return;
    try {
      await this.#file.keep(note);
      this.#kept = note;
    } catch (error) {
      // The tally is a witness too; a full disk here must not stop the shard.
      this.#log.error({ err: error }, "the newest checkpoint could not be kept in a file");
    }
  }

  #publish(): void {
    const head = this.#feed.ledgerHead;
    if (head.size === this.#signed?.size) return;
    const { size, root } = head;
    const note = this.sign(formatCheckpoint({ origin: this.#signer.name, size, root, extensions: [] }));
    this.#signed = head;
    this.#note = note;
  }
}
