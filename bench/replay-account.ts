/** What became of the replayed ballots. Every ballot is counted once, under the outcome that settled it (I4). */
import type { ReplayBallot } from "#bench/election-file.ts";
import { LatencyHistogram } from "#bench/latency-histogram.ts";
import { LogNames } from "#bench/outcome-reader.ts";

export type ReplayReport = {
  /** In the file. The sum of recorded, repeats, rejected, unknown and unsent. */
  readonly ballots: number;
  readonly recorded: number;
  /** Answered with the receipt of an earlier replay. A resend within this one counts as recorded. */
  readonly repeats: number;
  /** By reason of the catalogue, or "GRPC_<code>" for a failure that is none of ours. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Sent, and not settled when the replay gave up or was stopped. */
  readonly unknown: number;
  /** Never sent, because the replay gave up or was stopped. */
  readonly unsent: number;
  /** From the first send to the last acknowledgement. */
  readonly seconds: number;
  /** Acknowledged (recorded or repeat) a second. */
  readonly votesPerSecond: number;
  /** From a ballot's scheduled (or first) send to its outcome, resends included. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Receipts by the origin of their log. */
  readonly perShard: ReadonlyMap<string, number>;
  /** Votes sent again, because their outcome was open or a wait was asked for. */
  readonly resends: number;
};

export type ReplayProgress = Omit<ReplayReport, "unsent"> & {
  readonly settled: number;
  /** Acknowledged a second since the last progress. */
  readonly recentVotesPerSecond: number;
};

export type ReplayReceipt = { readonly receiptId: string; readonly logOrigin: string; readonly leafIndex: number };

/** How a ballot ended; `unknown` when the replay gave up or was stopped first. */
export type SettledBallot = { readonly ballot: ReplayBallot } & (
  | { readonly kind: "recorded" | "repeat"; readonly receipt: ReplayReceipt }
  | { readonly kind: "rejected"; readonly reason: string }
  | { readonly kind: "unknown" }
);

/** The number of leaves of each shard's log before the replay, by shard id. */
export type LogSizes = ReadonlyMap<number, number>;

export class ReplayAccount {
  readonly logs = new LogNames();
  readonly #ballots: number;
  readonly #sizesBefore: LogSizes;
  readonly #latency = new LatencyHistogram();
  readonly #receiptsByLog: number[] = [];
  readonly #highestLeafByLog: number[] = [];
  readonly #lastLeavesBefore: number[] = [];
  readonly #rejected = new Map<string, number>();
  #recorded = 0;
  #repeats = 0;
  #rejections = 0;
  #resends = 0;
  #unknown = 0;
  #firstSendMs: number | undefined;
  #lastAcknowledgementMs = 0;
  #recent = { acknowledged: 0, atMs: 0 };

  constructor(ballots: number, sizesBefore: LogSizes) {
    this.#ballots = ballots;
    this.#sizesBefore = sizesBefore;
  }

  get settled(): number {
    return this.#recorded + this.#repeats + this.#rejections;
  }

  noteSend(nowMs: number): void {
    this.#firstSendMs ??= nowMs;
    if (this.#recent.atMs === 0) this.#recent.atMs = nowMs;
  }

  noteResends(votes: number): void {
    this.#resends += votes;
  }

  noteUnknown(votes: number): void {
    this.#unknown += votes;
  }

  noteLatency(latencyMs: number, votes: number, nowMs: number): void {
    if (votes === 0) return;
    this.#latency.record(latencyMs, votes);
    this.#lastAcknowledgementMs = nowMs;
  }

  /** The highest leaf index seen so far, by number of the log. */
  highestLeaves(): readonly number[] {
    return [...this.#highestLeafByLog];
  }

  /**
   * Counts a receipt. A resent vote that is answered as a repeat was recorded by its own earlier sending when its leaf
   * is above every leaf seen before that (`leavesBefore`, undefined for a vote sent once); else by an earlier replay.
   * Returns whether it is a repeat.
   */
  noteReceipt(log: number, leafIndex: number, repeat: boolean, leavesBefore: readonly number[] | undefined): boolean {
    const isRepeat = repeat && !(leavesBefore !== undefined && this.#isNew(log, leafIndex, leavesBefore));
    if (isRepeat) this.#repeats++;
    else this.#recorded++;
    this.#receiptsByLog[log] = (this.#receiptsByLog[log] ?? 0) + 1;
    if (leafIndex > (this.#highestLeafByLog[log] ?? -1)) this.#highestLeafByLog[log] = leafIndex;
    return isRepeat;
  }

  /** A log may have been large before the replay, and its high leaves not seen yet. */
  #isNew(log: number, leafIndex: number, leavesBefore: readonly number[]): boolean {
    return leafIndex > Math.max(leavesBefore[log] ?? -1, this.#lastLeafBefore(log));
  }

  noteRejected(reason: string, votes: number): void {
    this.#rejections += votes;
    this.#rejected.set(reason, (this.#rejected.get(reason) ?? 0) + votes);
  }

  report(unsent: number): ReplayReport {
    return { ...this.#figures(), unsent };
  }

  progress(nowMs: number): ReplayProgress {
    const acknowledged = this.#recorded + this.#repeats;
    const seconds = (nowMs - this.#recent.atMs) / 1_000;
    const recentVotesPerSecond = seconds > 0 ? (acknowledged - this.#recent.acknowledged) / seconds : 0;
    this.#recent = { acknowledged, atMs: nowMs };
    return { ...this.#figures(), settled: this.settled, recentVotesPerSecond };
  }

  #figures(): Omit<ReplayReport, "unsent"> {
    const seconds = Math.max(0, this.#lastAcknowledgementMs - (this.#firstSendMs ?? 0)) / 1_000;
    const acknowledged = this.#recorded + this.#repeats;
    return {
      ballots: this.#ballots,
      recorded: this.#recorded,
      repeats: this.#repeats,
      rejected: Object.fromEntries(this.#rejected),
      unknown: this.#unknown,
      seconds,
      votesPerSecond: seconds > 0 ? acknowledged / seconds : 0,
      p50Ms: this.#latency.quantileMs(0.5),
      p99Ms: this.#latency.quantileMs(0.99),
      maxMs: this.#latency.maxMs,
      perShard: new Map(this.logs.names.map((name, log) => [name, this.#receiptsByLog[log] ?? 0])),
      resends: this.#resends,
    };
  }

  /** The last leaf that a log had before the replay; -1 when it had none, or its size is not known. */
  #lastLeafBefore(log: number): number {
    for (let known = this.#lastLeavesBefore.length; known <= log; known++) {
      const shard = /\/shard\/(\d+)/.exec(this.logs.names[known] ?? "")?.[1];
      this.#lastLeavesBefore.push((this.#sizesBefore.get(Number(shard)) ?? 0) - 1);
    }
    return this.#lastLeavesBefore[log] ?? -1;
  }
}
