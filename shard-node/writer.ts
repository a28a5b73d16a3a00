/**
 * The shard's writer: one batch after the other (design, cast path 4 to 8). While a batch commits, everything that arrives
 * waits and becomes the next one, so batches grow by themselves under load and shrink to one vote when idle.
 *
 * - W1 Votes are settled only after `#commit` says "stored": a clean COMMIT, or the batch found by its id after a takeover.
 * - W2 A batch whose outcome is unknown is looked for after a takeover and before anything else is committed.
 * - W3 The election book and the durable mark move only with a stored batch.
 * - W4 Whatever throws DeposedError, the writer never touches the head again.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#mesh/log.ts";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { answerVotes, type Existing, type LogEnd, type SealedBatch, sealEmpty, sealVotes } from "./batch.ts";
import { type CommitResult, commitBatch, findBatch } from "./batch-commit.ts";
import { type ControlStep, dueSteps } from "./control-steps.ts";
import { CountFeed, type FeedChange } from "./count-feed.ts";
import type { ElectionBook } from "./election-book.ts";
import { fencedLookUp } from "./fenced-look-up.ts";
import { BatchTrace } from "./frame-trace.ts";
import type { ShardMetrics } from "./metrics.ts";
import type { SlotOwnership } from "./slot-ownership.ts";
import { DeposedError, type Head, resign, type TakenOver } from "./takeover.ts";
import { leaveUnknown, settleExpired, settleMisplaced, type WaitingVote } from "./vote-frame.ts";
import { lookUpVotes } from "./vote-lookup.ts";
import { type QueueLimits, VoteQueue } from "./vote-queue.ts";
import { rememberVoters } from "./voter-filters.ts";
import { LedgerLossError } from "./witness.ts";
import { type TakeoverOptions, takeOverWitnessed } from "./witnessed-takeover.ts";

export type WriterOptions = TakeoverOptions & {
  readonly queueLimits: QueueLimits;
  readonly batchVotesMax: number;
  readonly batchBytesMax: number;
  /** How long a commit, or a takeover, may wait before its connection is given up. */
  readonly commitLimitMs: number;
  readonly pulseMs: number;
  readonly log: Logger;
  readonly metrics: ShardMetrics;
};

type ControlRequest = {
  readonly steps: (book: ElectionBook) => readonly ControlStep[];
  readonly done: PromiseWithResolvers<void>;
};

type Stored = "stored" | "not-stored" | "data-error";

const slowCommitMs = 1_000;
const retryMs = 200;

export class Writer {
  readonly #options: WriterOptions;
  readonly #queue: VoteQueue;
  readonly #controls: ControlRequest[] = [];
  readonly feed: CountFeed;
  #taken: TakenOver;
  #notReadyBecause = "";
  #draining = false;
  readonly #abort = new AbortController();
  /** A takeover that no stored batch has followed yet. */
  #fruitlessTakeover = false;
  #lastCommitAtMs = performance.now();
  #wake: (() => void) | undefined;

  constructor(options: WriterOptions, taken: TakenOver) {
    this.#options = options;
    this.#queue = new VoteQueue(options.queueLimits);
    this.#taken = taken;
    const { head, tree } = taken;
    this.feed = new CountFeed(head.batch, head.stampMs, { size: tree.size, root: tree.root });
  }

  get head(): Head {
    return this.#taken.head;
  }

  get book(): ElectionBook {
    return this.#taken.book;
  }

  get ownership(): SlotOwnership {
    return this.#taken.ownership;
  }

  get waitingVotes(): number {
    return this.#queue.length;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Why the writer cannot commit at the moment; empty when it can. */
  get notReadyBecause(): string {
    return this.#notReadyBecause;
  }

  /** Takes all of these votes, or none when too many wait (I9). */
  offer(votes: readonly WaitingVote[]): boolean {
    if (this.#draining || !this.#queue.offer(votes)) return false;
    this.#wake?.();
    return true;
  }

  /**
   * Commits the steps as a control batch; resolves when it is durable, or at once when there is nothing to do. Tried once:
   * what cannot be stored must not keep votes waiting. Throws what `steps` throws; RejectionError INTERNAL when the database
   * refuses the data, SHARD_UNAVAILABLE when this node does not write.
   */
  control(steps: (book: ElectionBook) => readonly ControlStep[]): Promise<void> {
    if (this.#draining) return Promise.reject(new RejectionError("SHARD_UNAVAILABLE"));
    const done = Promise.withResolvers<void>();
    this.#controls.push({ steps, done });
    this.#wake?.();
    return done.promise;
  }

  /** Takes no more votes and changes; `run` returns when those that wait are settled. */
  drain(): void {
    this.#draining = true;
    this.#wake?.();
  }

  /** Gives up: `run` ends soon, and what is unsettled stays unknown. */
  abort(): void {
    this.#abort.abort();
    this.#taken.session.destroy();
    this.#wake?.();
  }

  /** Writes until drained or aborted. Throws DeposedError. Every vote that was taken is settled when it ends. */
  async run(): Promise<void> {
    try {
      while (!this.#abort.signal.aborted) {
        const due = dueSteps(this.#taken.book, this.#stampMs());
        const request = due.length === 0 ? this.#controls.shift() : undefined;
        if (due.length > 0) await this.#commitUnasked(due);
        else if (request !== undefined) await this.#runControl(request);
        else if (this.#queue.length > 0) await this.#commitWaiting();
        else if (this.#draining) return await resign(this.#taken.session, this.head);
        else if (this.#untilPulseMs() <= 0) await this.#commitUnasked([]);
        else await this.#arrival(this.#untilPulseMs());
      }
    } finally {
      this.#giveUpTheRest();
    }
  }

  #stampMs(): number {
    return Math.max(this.#taken.head.stampMs, Date.now());
  }

  #untilPulseMs(): number {
    return this.#lastCommitAtMs + this.#options.pulseMs - performance.now();
  }

  async #arrival(limitMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** What nobody waits for: the pulse, and elections whose time has come. What is refused is tried again, not at once. */
  async #commitUnasked(steps: readonly ControlStep[]): Promise<void> {
    const stored = await this.#commit(sealEmpty(this.#taken, Date.now(), steps));
    if (stored === "data-error") await this.#renew("the database refuses a batch without votes");
  }

  /** The steps are worked out here, between two batches, so that two requests never race. */
  async #runControl({ steps, done }: ControlRequest): Promise<void> {
    try {
      const batch = sealEmpty(this.#taken, Date.now(), steps(this.#taken.book));
      const stored = batch.control.length === 0 ? "stored" : await this.#commit(batch);
      if (stored === "stored") done.resolve();
      else done.reject(new RejectionError(stored === "data-error" ? "INTERNAL" : "SHARD_UNAVAILABLE"));
    } catch (error) {
      if (!(error instanceof DeposedError)) return done.reject(error);
      done.reject(new RejectionError("SHARD_UNAVAILABLE"));
      throw error;
    }
  }

  async #commitWaiting(): Promise<void> {
    const { batchVotesMax, batchBytesMax } = this.#options;
    const votes = this.#queue.take(batchVotesMax, batchBytesMax);
    try {
      await this.#commitVotes(votes);
    } catch (error) {
      leaveUnknown(votes);
      throw error;
    }
  }

  /** A batch with a vote that cannot be stored is halved until that vote stands alone. */
  async #commitVotes(taken: readonly WaitingVote[]): Promise<void> {
    const trace = BatchTrace.sealing(taken);
    const batch = await this.#seal(taken);
    trace?.sealed(batch);
    if (batch === undefined) return;
    const stored = await this.#commit(batch).catch((error: unknown) => {
      if (error instanceof DeposedError && error.batchStored) answerVotes(batch);
      throw error;
    });
    const votes = taken.filter((vote) => !vote.settled);
    if (stored === "stored") {
      answerVotes(batch);
    } else if (stored === "not-stored") {
      this.#queue.putBack(votes);
    } else if (votes.length === 1) {
      const batchId = Buffer.from(batch.identity.batchId, "latin1").toString("hex");
      this.#options.log.error({ batchId }, "a vote cannot be stored; it was refused");
      for (const vote of votes) vote.settle({ outcome: RecordOutcome.INTERNAL });
    } else {
      const half = Math.ceil(votes.length / 2);
      await this.#commitVotes(votes.slice(0, half));
      await this.#commitVotes(votes.slice(half));
    }
  }

  /** Undefined when none of the votes is left in time, or the look-up failed: then they wait again. */
  async #seal(taken: readonly WaitingVote[]): Promise<SealedBatch | undefined> {
    const asked = settleExpired(taken);
    if (asked.length === 0) return undefined;
    let existing: Existing;
    try {
      existing = await lookUpVotes(this.#taken.session.client, this.#taken.book, asked);
    } catch (error) {
      if (!this.#taken.session.lost) this.#options.log.warn({ err: error }, "the look-up of voters failed");
      this.#queue.putBack(asked);
      await this.#renew(messageOf(error));
      return undefined;
    }
    // The look-up may have taken long: a vote whose deadline has passed is not sealed. Nor is one that waited through a
    // takeover in which its slot went to another shard (I6).
    const votes = settleMisplaced(settleExpired(asked), this.#taken.ownership);
    return votes.length === 0 ? undefined : sealVotes(this.#taken, Date.now(), this.#taken.book, votes, existing);
  }

  /** Commits one batch and finds out what became of it (W1, W2). Throws DeposedError when another node writes now. */
  async #commit(batch: SealedBatch): Promise<Stored> {
    const startedAtMs = performance.now();
    const result = await commitBatch(this.#taken.session, batch);
    const tookMs = performance.now() - startedAtMs;
    this.#options.metrics.commitTried(result.kind, batch.newVoteCount, tookMs);
    if (tookMs > slowCommitMs) this.#options.log.warn({ tookMs, batch: batch.identity.number }, "a commit was slow");
    return await this.#resolve(batch, result);
  }

  async #resolve(batch: SealedBatch, result: CommitResult): Promise<Stored> {
    switch (result.kind) {
      case "committed":
        for (const step of batch.control) step.apply(this.#taken.book, batch.identity.number);
        this.#taken = { ...this.#taken, ...endOf(this.#taken, batch) };
        this.#publish(batch);
        return "stored";
      case "refused":
        this.#options.log.warn({ failure: result.failure, batch: batch.identity.number }, "a batch was refused");
        if (result.failure.kind === "data") return "data-error";
        await this.#renew("message" in result.failure ? result.failure.message : result.failure.kind);
        return "not-stored";
      case "unknown":
        return await this.#resolveUnknown(batch, result.because);
    }
  }

  /** After the takeover the batch is there for good, or it never will be. */
  async #resolveUnknown(batch: SealedBatch, because: string): Promise<Stored> {
    const { log, address, commitLimitMs } = this.#options;
    log.warn({ because, batch: batch.identity.number }, "the outcome of a commit is unknown");
    let found: boolean;
    try {
      found = await this.#takeOverAndFind(batch, because);
    } catch (error) {
      if (!(error instanceof DeposedError)) throw error;
      const limits = { answerMs: commitLimitMs, signal: this.#abort.signal };
      throw new DeposedError(await fencedLookUp(address, batch.identity, limits));
    }
    log.info({ found, batch: batch.identity.number }, "the outcome of a commit was looked up");
    if (!found) return "not-stored";
    this.#publish(batch);
    return "stored";
  }

  async #takeOverAndFind(batch: SealedBatch, because: string): Promise<boolean> {
    for (let cause = because; ; ) {
      await this.#renew(cause);
      try {
        return await findBatch(this.#taken.session.client, batch.identity);
      } catch (error) {
        cause = messageOf(error);
      }
    }
  }

  #publish(batch: SealedBatch): void {
    this.#notReadyBecause = "";
    this.#fruitlessTakeover = false;
    this.#lastCommitAtMs = performance.now();
    rememberVoters(this.#taken.book, batch);
    this.feed.publish({
      number: batch.identity.number,
      ledgerHead: { size: batch.ledger.tree.size, root: batch.ledger.root },
      stampMs: batch.stampMs,
      deltas: batch.deltas,
      changes: this.#changesOf(batch),
    });
  }

  #changesOf(batch: SealedBatch): FeedChange[] {
    const elections = new Set(batch.control.map((step) => step.audit.election));
    return [...elections].flatMap((electionId) => {
      const entry = this.#taken.book.entry(electionId);
      return entry === undefined ? [] : [{ electionId, state: entry.state }];
    });
  }

  /** Takes over again, as long as it takes: no earlier connection of this process can commit after it. */
  async #renew(because: string): Promise<void> {
    this.#taken.session.destroy();
    this.#notReadyBecause = because;
    // What fails again right after a takeover would fail for ever without a pause.
    if (this.#fruitlessTakeover) await this.#pause();
    while (!this.#abort.signal.aborted) {
      try {
        await this.#takeOverAgain();
        return;
      } catch (error) {
        if (error instanceof DeposedError) throw error;
        if (error instanceof LedgerLossError) {
          // Nothing is to be written on it before an operator has said so, to a node that waits for that.
          this.#options.log.error({ because: messageOf(error) }, "the writer gives up: its ledger was lost");
          throw new DeposedError();
        }
        if (messageOf(error) !== this.#notReadyBecause) {
          this.#options.log.warn({ because: messageOf(error) }, "the writer cannot commit");
        }
        this.#notReadyBecause = messageOf(error);
        await this.#pause();
      }
    }
    throw new DeposedError();
  }

  async #takeOverAgain(): Promise<void> {
    const limits = { answerMs: this.#options.commitLimitMs, signal: this.#abort.signal };
    const taken = await takeOverWitnessed(this.#options, undefined, limits);
    this.#demandWhole(taken);
    this.#taken = taken;
    this.#fruitlessTakeover = true;
  }

  /** This process knows more than its file and the tally: all that it has acknowledged (I8). */
  #demandWhole({ session, head, tree }: TakenOver): void {
    const { ledgerHead, durableBatch } = this.feed;
    const isShorter = head.batch < durableBatch || tree.size < ledgerHead.size;
    if (!isShorter && (tree.size > ledgerHead.size || tree.root.equals(ledgerHead.root))) return;
    session.destroy();
    throw new LedgerLossError(
      `this node has written ${ledgerHead.size} leaves up to batch ${durableBatch}, and the database holds ` +
        `${isShorter ? "only" : "another"} ${tree.size} up to batch ${head.batch}`,
    );
  }

  async #pause(): Promise<void> {
    this.#dropExpired();
    await delay(retryMs, undefined, { signal: this.#abort.signal }).catch(() => undefined);
  }

  /** While nothing can be committed, votes whose deadline has passed must not fill the queue. */
  #dropExpired(): void {
    const all = this.#queue.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    this.#queue.putBack(settleExpired(all));
  }

  #giveUpTheRest(): void {
    this.#draining = true;
    this.#taken.session.destroy();
    const rest = this.#queue.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    leaveUnknown(rest);
    for (const { done } of this.#controls.splice(0)) done.reject(new RejectionError("SHARD_UNAVAILABLE"));
  }
}

/** Where the log ends with this batch. */
function endOf({ head }: LogEnd, { identity, stampMs, ledger }: SealedBatch): LogEnd {
  const { tree } = ledger;
  return { head: { ...head, batch: identity.number, treeSize: tree.size, stampMs }, tree };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
