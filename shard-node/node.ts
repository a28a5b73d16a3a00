/** A shard node: a spare until its time comes, then the writer until it is deposed, then a spare again. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#mesh/log.ts";
import { RejectionError } from "#proto/rejections.ts";
import { keepSnapshots } from "./count-snapshots.ts";
import type { PostgresAddress } from "./postgres-session.ts";
import { type SpareTimes, watchUntilSilent } from "./spare-watch.ts";
import { DeposedError, type SeenHead, type TakenOver, takeOver } from "./takeover.ts";
import { fillVoterFilters } from "./voter-filter-fill.ts";
import { Writer, type WriterOptions } from "./writer.ts";

export type NodeOptions = WriterOptions & {
  readonly address: PostgresAddress;
  readonly shardId: number;
  readonly spare: SpareTimes;
  readonly log: Logger;
};

export type NodeState =
  | { readonly kind: "spare"; readonly because: string }
  | { readonly kind: "writing"; readonly writer: Writer; readonly ended: AbortController };

const retryMs = 300;

export class ShardNode {
  readonly #options: NodeOptions;
  readonly #stopping = new AbortController();
  #state: NodeState = { kind: "spare", because: "" };
  #onChange: () => void = () => undefined;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  get state(): NodeState {
    return this.#state;
  }

  /** Calls the listener whenever the node changes between spare and writer. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
    listener();
  }

  /** The writer, and a signal that aborts when it is the writer no more. Throws RejectionError SHARD_UNAVAILABLE on a spare. */
  requireWriter(): { readonly writer: Writer; readonly ended: AbortSignal } {
    if (this.#state.kind === "writing") return { writer: this.#state.writer, ended: this.#state.ended.signal };
    throw new RejectionError("SHARD_UNAVAILABLE", `shard ${this.#options.shardId}: this node is a spare`);
  }

  /** Runs until `stop`; throws only on faults that leave no safe way on. */
  async run(): Promise<void> {
    const { address, spare, log } = this.#options;
    while (!this.#stopping.signal.aborted) {
      const seen = await watchUntilSilent(address, spare, this.#stopping.signal);
      if (seen === undefined) return;
      const taken = await this.#tryTakeOver(seen);
      if (taken === undefined) continue;
      log.info({ writerEpoch: taken.head.writerEpoch, batch: taken.head.batch }, "this node is the writer");
      await this.#write(taken);
    }
  }

  /** Settles what waits, at most until `limitMs`; what is left then is answered as unknown. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping.abort();
    if (this.#state.kind !== "writing") return;
    const { writer, ended } = this.#state;
    const over = new Promise((resolve) => ended.signal.addEventListener("abort", resolve, { once: true }));
    writer.drain();
    const timer = setTimeout(() => writer.abort(), limitMs);
    await over;
    clearTimeout(timer);
  }

  #become(state: NodeState): void {
    this.#state = state;
    this.#onChange();
  }

  async #tryTakeOver(seen: SeenHead): Promise<TakenOver | undefined> {
    const { address, writer, commitLimitMs, log } = this.#options;
    try {
      return await takeOver(address, writer, seen, { answerMs: commitLimitMs, signal: this.#stopping.signal });
    } catch (error) {
      const because = error instanceof Error ? error.message : String(error);
      if (!(error instanceof DeposedError)) {
        if (this.#state.kind === "spare" && this.#state.because !== because) log.warn({ because }, "no takeover");
        this.#become({ kind: "spare", because });
        await delay(retryMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
      return undefined;
    }
  }

  async #write(taken: TakenOver): Promise<void> {
    const ended = new AbortController();
    const { address, log } = this.#options;
    const writer = new Writer(this.#options, taken);
    try {
      this.#become({ kind: "writing", writer, ended });
      void keepSnapshots(writer.feed, address, ended.signal, log);
      void fillVoterFilters(() => writer.book, address, ended.signal, log);
      await writer.run();
    } catch (error) {
      if (!(error instanceof DeposedError)) throw error;
      if (!this.#stopping.signal.aborted) log.warn("deposed: this node is a spare now");
    } finally {
      this.#become({ kind: "spare", because: "" });
      ended.abort();
    }
  }
}
