/**
 * Casts every ballot of an election file through VoteService.CastVoteBatch and sends again what is not settled, until
 * every ballot has an outcome (I4). Sending again is safe: each ballot has its idempotency key (I3).
 *
 * Closed loop: a number of calls is always under way. Open loop (`ratePerSecond`): calls start at fixed times whether or
 * not earlier ones were answered, and latency counts from the scheduled time, so that a stall is not hidden.
 */
import { BallotEncoder } from "#bench/ballot-encoder.ts";
import type { BallotCursor } from "#bench/ballot-order.ts";
import type { ElectionFile } from "#bench/election-file.ts";
import { readLogSizes } from "#bench/log-sizes.ts";
import { OutcomeReader } from "#bench/outcome-reader.ts";
import type { ReplayProgress, ReplayReport, SettledBallot } from "#bench/replay-account.ts";
import { ReplayAccount } from "#bench/replay-account.ts";
import type { VoteLink } from "#bench/vote-link.ts";
import { VoteLinks } from "#bench/vote-link.ts";
import type { CallErrorCode } from "#mesh/call-error.ts";
import { CallError } from "#mesh/call-error.ts";
import type { Identity } from "#mesh/identity.ts";
import { batchRequestVotesMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

export type ReplayOptions = {
  /** gRPC addresses "host:port" of all routers. */
  readonly routers: readonly string[];
  /** What is shown to them; undefined where they speak plaintext. */
  readonly identity?: Identity | undefined;
  /** What to cast; `file.scaled(1 / 20)` for a part of it. */
  readonly file: ElectionFile;
  /** Open loop at this rate; without it closed loop. */
  readonly ratePerSecond?: number;
  /** Calls under way in a closed loop; default 16: fewer leave the shards' batches small, more only wait longer. */
  readonly callsInFlight?: number;
  /** Deadline of a call; default 10 s. */
  readonly callDeadlineMs?: number;
  /** How long to go on while no ballot is settled; default 60 s. */
  readonly stalledMs?: number;
  readonly onProgress?: (progress: ReplayProgress) => void;
  /** Default 250 ms. */
  readonly progressIntervalMs?: number;
  /** Called for every ballot when it is settled: the ledger of acknowledgements. Costs several µs a vote. */
  readonly onSettled?: (settled: SettledBallot) => void;
  /** Stops the replay: what is under way is unknown. */
  readonly signal?: AbortSignal;
};

/** Resolves when every ballot is settled, or none has been for `stalledMs`, or the signal fires. */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const sizesBefore = await readLogSizes(options.routers, options.identity);
  return new Replay(options, new ReplayAccount(options.file.ballotCount, sizesBefore)).run();
}

/** Failures that sending again cannot cure, when they come without one of our rejections. */
const permanentCodes: ReadonlySet<CallErrorCode> = new Set<CallErrorCode>([
  "INVALID_ARGUMENT",
  "UNIMPLEMENTED",
  "PERMISSION_DENIED",
  "UNAUTHENTICATED",
  "NOT_FOUND",
  "FAILED_PRECONDITION",
  "OUT_OF_RANGE",
]);

const backoffFirstMs = 20;
const backoffMaxMs = 1_000;
/** Open loop: calls that may be under way before the next one has to wait. */
const openLoopCallsMax = 512;
/** Open loop: calls a second, where the rate allows batches that small. */
const openLoopCallsPerSecond = 50;

/** Ballots that are sent together. Resends keep to the batch that they were first sent in, or a part of it. */
type Batch = {
  readonly cells: Uint32Array;
  readonly indexes: Uint32Array;
  readonly message: Buffer;
  /** When it was to be sent first. */
  readonly scheduledMs: number;
  /** The highest leaf of each log that had been seen when it was first sent. */
  readonly leavesBefore: readonly number[];
  readonly sends: number;
  readonly dueMs: number;
  readonly lastLink: VoteLink | undefined;
};

class Replay {
  readonly #options: ReplayOptions;
  readonly #account: ReplayAccount;
  readonly #cursor: BallotCursor;
  readonly #encoder: BallotEncoder;
  readonly #links: VoteLinks;
  readonly #batchVotes: number;
  readonly #callsMax: number;
  readonly #underWay = new Set<Batch>();
  readonly #waiting = new Set<Batch>();
  readonly #cancel = new AbortController();
  readonly #result = Promise.withResolvers<void>();
  #startedMs = 0;
  #drawn = 0;
  #lastSettledMs = 0;
  #wake: NodeJS.Timeout | undefined;
  #finished = false;

  constructor(options: ReplayOptions, account: ReplayAccount) {
    const { file, ratePerSecond, routers, callsInFlight = 16 } = options;
    if (ratePerSecond !== undefined && !(ratePerSecond > 0)) throw new RangeError("replay: the rate must be above 0");
    this.#options = options;
    this.#account = account;
    this.#cursor = file.cursor();
    this.#encoder = new BallotEncoder(file.electionId, file.cells);
    this.#links = new VoteLinks(routers, options.identity);
    this.#callsMax = ratePerSecond === undefined ? callsInFlight : openLoopCallsMax;
    this.#batchVotes = batchVotesAt(ratePerSecond);
  }

  async run(): Promise<ReplayReport> {
    const { signal, onProgress, progressIntervalMs = 250 } = this.#options;
    const stop = () => this.#finish();
    signal?.addEventListener("abort", stop, { once: true });
    this.#startedMs = performance.now();
    this.#lastSettledMs = this.#startedMs;
    const ticker = setInterval(() => this.#tick(), progressIntervalMs);
    try {
      if (signal?.aborted) this.#finish();
      else this.#pump();
      await this.#result.promise;
      onProgress?.(this.#account.progress(performance.now()));
      return this.#account.report(this.#options.file.ballotCount - this.#drawn);
    } finally {
      clearInterval(ticker);
      clearTimeout(this.#wake);
      signal?.removeEventListener("abort", stop);
      this.#links.close();
    }
  }

  #tick(): void {
    const nowMs = performance.now();
    this.#options.onProgress?.(this.#account.progress(nowMs));
    if (nowMs - this.#lastSettledMs > (this.#options.stalledMs ?? 60_000)) this.#finish();
  }

  /** Sends all that may be sent now, and sets the time to look again. */
  #pump(): void {
    if (this.#finished) return;
    clearTimeout(this.#wake);
    const nowMs = performance.now();
    while (this.#underWay.size < this.#callsMax) {
      const batch = this.#dueBatch(nowMs) ?? this.#freshBatch(nowMs);
      if (batch === undefined) break;
      this.#send(batch);
    }
    if (this.#underWay.size === 0 && this.#waiting.size === 0 && this.#drawn === this.#options.file.ballotCount) {
      this.#finish();
      return;
    }
    const wakeMs = this.#nextDueMs();
    if (wakeMs < Number.POSITIVE_INFINITY && this.#underWay.size < this.#callsMax) {
      this.#wake = setTimeout(() => this.#pump(), Math.max(0, wakeMs - nowMs));
    }
  }

  #dueBatch(nowMs: number): Batch | undefined {
    for (const batch of this.#waiting) {
      if (batch.dueMs > nowMs) continue;
      this.#waiting.delete(batch);
      return batch;
    }
    return undefined;
  }

  #freshBatch(nowMs: number): Batch | undefined {
    // What waits to be sent again counts as under way: else an outage would gather all ballots in memory (I9).
    if (this.#underWay.size + this.#waiting.size >= this.#callsMax) return undefined;
    const scheduledMs = this.#nextScheduledMs(nowMs);
    if (scheduledMs > nowMs) return undefined;
    const cells = new Uint32Array(this.#batchVotes);
    const indexes = new Uint32Array(this.#batchVotes);
    const votes = this.#cursor.fill(cells, indexes);
    if (votes === 0) return undefined;
    this.#drawn += votes;
    return this.#batch(cells.subarray(0, votes), indexes.subarray(0, votes), {
      scheduledMs,
      leavesBefore: this.#account.highestLeaves(),
      sends: 0,
      dueMs: nowMs,
      lastLink: undefined,
    });
  }

  #batch(cells: Uint32Array, indexes: Uint32Array, rest: Omit<Batch, "cells" | "indexes" | "message">): Batch {
    return { cells, indexes, message: this.#encoder.encode(cells, indexes, cells.length), ...rest };
  }

  #nextScheduledMs(nowMs: number): number {
    const { ratePerSecond } = this.#options;
    return ratePerSecond === undefined ? nowMs : this.#startedMs + (this.#drawn / ratePerSecond) * 1_000;
  }

  #nextDueMs(): number {
    const { file, ratePerSecond } = this.#options;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const batch of this.#waiting) dueMs = Math.min(dueMs, batch.dueMs);
    if (ratePerSecond === undefined || this.#drawn === file.ballotCount) return dueMs;
    return Math.min(dueMs, this.#nextScheduledMs(0));
  }

  #send(batch: Batch): void {
    const link = this.#links.pick(batch.lastLink);
    this.#underWay.add(batch);
    this.#account.noteSend(performance.now());
    if (batch.sends > 0) this.#account.noteResends(batch.cells.length);
    const deadlineMs = this.#options.callDeadlineMs ?? 10_000;
    link.castBatch({ message: batch.message, deadlineMs, signal: this.#cancel.signal }).then(
      (response) => this.#settled(batch, () => this.#settleOutcomes(batch, link, response)),
      (error) => this.#settled(batch, () => this.#settleFailure(batch, link, error)),
    );
  }

  /** A response that breaks the contract ends the replay: nothing that it says can be counted. */
  #settled(batch: Batch, settle: () => void): void {
    if (this.#finished) return;
    this.#underWay.delete(batch);
    try {
      settle();
      this.#pump();
    } catch (error) {
      this.#finished = true;
      this.#cancel.abort();
      this.#result.reject(error);
    }
  }

  #settleOutcomes(batch: Batch, link: VoteLink, response: Buffer): void {
    const reader = new OutcomeReader(response, this.#account.logs);
    const votes = batch.cells.length;
    const again: number[] = [];
    let retryAfterMs = 0;
    let read = 0;
    for (; reader.next(); read++) {
      if (reader.isReceipt) {
        this.#settleReceipt(batch, read, reader);
        continue;
      }
      const { reason, retryable, retryAfter } = reader.rejection();
      if (retryable) {
        again.push(read);
        retryAfterMs = Math.max(
          retryAfterMs,
          Number(retryAfter?.seconds ?? 0) * 1_000 + (retryAfter?.nanos ?? 0) / 1e6,
        );
      } else {
        this.#settleRejected(batch, read, reason);
      }
    }
    if (read !== votes) throw new Error(`${link.address} answered ${votes} votes with ${read} outcomes (I4)`);
    this.#noteSettled(batch, votes - again.length);
    if (again.length > 0) this.#sendAgain(batch, again, link, retryAfterMs);
  }

  #settleReceipt(batch: Batch, position: number, reader: OutcomeReader): void {
    const { log, leafIndex, repeat } = reader;
    const leavesBefore = batch.sends > 0 ? batch.leavesBefore : undefined;
    const isRepeat = this.#account.noteReceipt(log, leafIndex, repeat, leavesBefore);
    const { onSettled } = this.#options;
    if (onSettled === undefined) return;
    const receipt = { receiptId: reader.receiptId(), logOrigin: this.#account.logs.names[log] ?? "", leafIndex };
    onSettled({ ballot: this.#ballot(batch, position), kind: isRepeat ? "repeat" : "recorded", receipt });
  }

  #settleRejected(batch: Batch, position: number, reason: string): void {
    this.#account.noteRejected(reason, 1);
    this.#options.onSettled?.({ ballot: this.#ballot(batch, position), kind: "rejected", reason });
  }

  #settleFailure(batch: Batch, link: VoteLink, error: unknown): void {
    const everyVote = Array.from(batch.cells, (_, position) => position);
    if (error instanceof RejectionError && error.retryable) {
      this.#sendAgain(batch, everyVote, link, error.retryAfterMs ?? 0);
    } else if (error instanceof CallError && !permanentCodes.has(error.code)) {
      this.#sendAgain(batch, everyVote, link, 0);
    } else {
      const reason = failureReason(error);
      for (const position of everyVote) this.#settleRejected(batch, position, reason);
      this.#noteSettled(batch, everyVote.length);
    }
  }

  #noteSettled(batch: Batch, votes: number): void {
    if (votes === 0) return;
    const nowMs = performance.now();
    this.#lastSettledMs = nowMs;
    this.#account.noteLatency(nowMs - batch.scheduledMs, votes, nowMs);
  }

  #sendAgain(batch: Batch, positions: readonly number[], lastLink: VoteLink, retryAfterMs: number): void {
    const backoffMs = Math.min(backoffFirstMs * 2 ** batch.sends, backoffMaxMs) * (0.5 + Math.random() / 2);
    const { scheduledMs, leavesBefore } = batch;
    const dueMs = performance.now() + Math.max(retryAfterMs, backoffMs);
    const rest = { scheduledMs, leavesBefore, sends: batch.sends + 1, dueMs, lastLink };
    const whole = positions.length === batch.cells.length;
    const take = (column: Uint32Array) => Uint32Array.from(positions, (position) => column[position] ?? 0);
    this.#waiting.add(whole ? { ...batch, ...rest } : this.#batch(take(batch.cells), take(batch.indexes), rest));
  }

  #ballot(batch: Batch, position: number) {
    return this.#options.file.ballot(batch.cells[position] ?? 0, batch.indexes[position] ?? 0);
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    for (const batch of [...this.#underWay, ...this.#waiting]) {
      this.#account.noteUnknown(batch.cells.length);
      const { onSettled } = this.#options;
      if (onSettled === undefined) continue;
      for (const position of batch.cells.keys()) onSettled({ ballot: this.#ballot(batch, position), kind: "unknown" });
    }
    this.#cancel.abort();
    this.#result.resolve();
  }
}

function batchVotesAt(ratePerSecond: number | undefined): number {
  if (ratePerSecond === undefined) return batchRequestVotesMax;
  return Math.min(batchRequestVotesMax, Math.max(1, Math.round(ratePerSecond / openLoopCallsPerSecond)));
}

function failureReason(error: unknown): string {
  if (error instanceof RejectionError) return error.reason;
  if (error instanceof CallError) return `GRPC_${error.code}`;
  throw error;
}
