/** A shard node: a spare until its time comes, then the writer until it is deposed, then a spare again. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#mesh/log.ts";
import { formatLogOrigin } from "#proto/log-origin.ts";
import { RejectionError } from "#proto/rejections.ts";
import { keepSnapshots } from "./count-snapshots.ts";
import { PostgresSession } from "./postgres-session.ts";
import { PublishedCheckpoint } from "./published-checkpoint.ts";
import type { ShardKey } from "./shard-key.ts";
import { EndedWriters, type FreeHead, type SpareTimes, watchUntilFree } from "./spare-watch.ts";
import { DeposedError, resign } from "./takeover.ts";
import { fillVoterFilters } from "./voter-filters.ts";
import { LedgerLossError } from "./witness.ts";
import type { WitnessFile } from "./witness-file.ts";
import { takeOverWitnessed, type WitnessedTakeover } from "./witnessed-takeover.ts";
import { Writer, type WriterOptions } from "./writer.ts";

export type NodeOptions = WriterOptions & {
  readonly key: ShardKey;
  readonly witnessFile: WitnessFile;
  readonly shardId: number;
  readonly spare: SpareTimes;
  /** Whether discovery knows that a writer's process has ended. */
  readonly hasEnded: (process: string) => boolean;
  readonly log: Logger;
};

export type NodeState =
  /** `lost`: the database holds less than was published; nobody writes until that is accepted. */
  | { readonly kind: "spare"; readonly because: string; readonly lost: boolean }
  | {
      readonly kind: "writing";
      readonly writer: Writer;
      readonly checkpoint: PublishedCheckpoint;
      readonly ended: AbortController;
    };

type AcceptedLoss = { readonly by: string; readonly origin: PromiseWithResolvers<string> };

const retryMs = 300;
/** After a loss was found: longer, by chance, so that each node of the shard comes to look and to say so. */
const lostRetryMs = () => 1_000 * (1 + Math.random());
/** A witness that was away at the takeover is asked again. */
const askAgainMs = 1_000;
const acceptLimitMs = 15_000;
const learnEveryMs = 500;

export class ShardNode {
  readonly #options: NodeOptions;
  readonly #stopping = new AbortController();
  readonly #ended: EndedWriters;
  #state: NodeState = { kind: "spare", because: "", lost: false };
  #acceptedLoss: AcceptedLoss | undefined;
  /** Resolves when the newest checkpoint of the last writer is in its file. */
  #published: Promise<void> | undefined;
  #onChange: () => void = () => undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#ended = new EndedWriters(options.hasEnded);
  }

  get state(): NodeState {
    return this.#state;
  }

  /** The highest checkpoint in its file; empty without one. */
  get keptCheckpoint(): Uint8Array {
    return this.#options.witnessFile.read() ?? Buffer.alloc(0);
  }

  /** Calls the listener whenever the node changes between spare and writer. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
    listener();
  }

  /** The writer, and a signal that aborts when it is the writer no more. Throws RejectionError SHARD_UNAVAILABLE on a spare. */
  requireWriter(): { readonly writer: Writer; readonly checkpoint: PublishedCheckpoint; readonly ended: AbortSignal } {
    if (this.#state.kind === "writing") return { ...this.#state, ended: this.#state.ended.signal };
    throw new RejectionError("SHARD_UNAVAILABLE", `shard ${this.#options.shardId}: this node is a spare`);
  }

  /** Runs until `stop`; throws only on faults that leave no safe way on. */
  async run(): Promise<void> {
    const { address, spare: times, log } = this.#options;
    const watch = { address, times, ended: this.#ended, signal: this.#stopping.signal, onBatch: () => this.#standBy() };
    void this.#learnWhileSpare();
    while (!this.#stopping.signal.aborted) {
      const free = await watchUntilFree(watch);
      if (free === undefined) return;
      const taken = await this.#tryTakeOver(free);
      if (taken === undefined) continue;
      if (this.#stopping.signal.aborted) return await this.#giveBack(taken);
      const { writerEpoch, batch } = taken.head;
      log.info({ writerEpoch, batch, because: free.vacancy }, "this node is the writer");
      await this.#write(taken);
    }
  }

  /**
   * Goes on with a log that has lost its end, as its next generation; resolves to the new origin. Throws RejectionError
   * INVALID_REQUEST when this node does not refuse to write for such a loss, SHARD_UNAVAILABLE when it cannot take over.
   */
  async acceptLoss(by: string): Promise<string> {
    const { shardId } = this.#options;
    if (this.#state.kind === "writing" || !this.#state.lost) {
      throw new RejectionError("INVALID_REQUEST", `shard ${shardId}: this node knows of no loss to accept`);
    }
    const origin = Promise.withResolvers<string>();
    this.#acceptedLoss = { by, origin };
    const late = () =>
      origin.reject(new RejectionError("SHARD_UNAVAILABLE", `shard ${shardId} could not be taken over`));
    const timer = setTimeout(late, acceptLimitMs);
    try {
      return await origin.promise;
    } finally {
      clearTimeout(timer);
      this.#acceptedLoss = undefined;
    }
  }

  /** Settles what waits, at most until `limitMs`, and resigns; what is left then is answered as unknown. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping.abort();
    if (this.#state.kind !== "writing") return;
    const { writer, ended } = this.#state;
    const over = new Promise((resolve) => ended.signal.addEventListener("abort", resolve, { once: true }));
    writer.drain();
    const timer = setTimeout(() => writer.abort(), limitMs);
    await over;
    await this.#published;
    clearTimeout(timer);
  }

  /** Never throws. */
  async #learnWhileSpare(): Promise<void> {
    const { signal } = this.#stopping;
    const isSpare = () => this.#state.kind === "spare" && !signal.aborted;
    while (!signal.aborted) {
      if (isSpare()) await this.#options.witness.learnFromPeers(isSpare);
      await delay(learnEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  #become(state: NodeState): void {
    this.#state = state;
    this.#onChange();
  }

  /** Another node writes: what kept this one from it is over. */
  #standBy(): void {
    if (this.#state.kind === "spare" && this.#state.because !== "") {
      this.#become({ kind: "spare", because: "", lost: false });
    }
  }

  async #tryTakeOver({ seen, vacancy }: FreeHead): Promise<WitnessedTakeover | undefined> {
    // The session outlives the takeover: a writer that stops settles its votes through it.
    const givenUp = new AbortController();
    const giveUp = () => givenUp.abort();
    this.#stopping.signal.addEventListener("abort", giveUp);
    const limits = { answerMs: this.#options.commitLimitMs, signal: givenUp.signal };
    const accepted = this.#acceptedLoss;
    if (vacancy === "the writer's process has ended") this.#ended.heeded(performance.now());
    try {
      const taken = await takeOverWitnessed(this.#options, seen, limits, accepted?.by);
      accepted?.origin.resolve(formatLogOrigin(taken.head));
      return taken;
    } catch (error) {
      if (!(error instanceof DeposedError)) {
        this.#refuse(error);
        const pauseMs = error instanceof LedgerLossError ? lostRetryMs() : retryMs;
        await delay(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
      return undefined;
    } finally {
      this.#stopping.signal.removeEventListener("abort", giveUp);
    }
  }

  /** Stopped in the moment of its takeover. */
  async #giveBack({ session, head }: WitnessedTakeover): Promise<void> {
    await resign(session, head);
    session.destroy();
  }

  #refuse(error: unknown): void {
    const { log, shardId } = this.#options;
    const lost = error instanceof LedgerLossError;
    const message = error instanceof Error ? error.message : String(error);
    const because = lost ? `${message}. Restore them, or accept the loss: urna shard accept-loss ${shardId}` : message;
    const isNew = this.#state.kind === "spare" && this.#state.because !== because;
    if (isNew && lost) log.error({ because }, "this shard refuses to serve");
    else if (isNew) log.warn({ because }, "no takeover");
    this.#become({ kind: "spare", because, lost });
  }

  async #write(taken: WitnessedTakeover): Promise<void> {
    const ended = new AbortController();
    const { address, key, witnessFile, log } = this.#options;
    const writer = new Writer(this.#options, taken);
    const checkpoint = new PublishedCheckpoint(writer.feed, formatLogOrigin(taken.head), key, witnessFile, log);
    try {
      this.#become({ kind: "writing", writer, checkpoint, ended });
      void keepSnapshots(writer.feed, address, ended.signal, log);
      void fillVoterFilters(() => writer.book, address, ended.signal, log);
      this.#published = checkpoint.keepPublishing(ended.signal);
      if (!taken.witnessed) void this.#askWitnessAgain(writer, ended.signal);
      await writer.run();
    } catch (error) {
      if (!(error instanceof DeposedError)) throw error;
      if (!this.#stopping.signal.aborted) log.warn("deposed: this node is a spare now");
    } finally {
      this.#become({ kind: "spare", because: "", lost: false });
      ended.abort();
      await this.#published;
    }
  }

  /** The tally was away when this node took over: what it knows may still stop the shard. Never throws. */
  async #askWitnessAgain(writer: Writer, signal: AbortSignal): Promise<void> {
    const { witness, address, log } = this.#options;
    for (let witnessed = false; !witnessed && !signal.aborted; ) {
      await delay(askAgainMs, undefined, { signal }).catch(() => undefined);
      let session: PostgresSession | undefined;
      try {
        session = await PostgresSession.open(address, "reader", { signal });
        witnessed = await witness.demandUnbroken(session.client, () => writer.head);
      } catch (error) {
        if (!(error instanceof LedgerLossError)) continue;
        log.error(
          { because: error.message },
          "this shard must not go on: its ledger is not the one that was published",
        );
        writer.abort();
      } finally {
        session?.destroy();
      }
    }
  }
}
