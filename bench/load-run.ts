/** Drives a sender for some seconds, closed loop or at a fixed rate, and counts what was acknowledged within them. */
import { setTimeout as delay } from "node:timers/promises";
import { LatencyHistogram } from "#bench/latency-histogram.ts";
import type { SendOutcome, VoteSender } from "#bench/vote-senders.ts";

export type LoadPlan = {
  readonly seconds: number;
  /** Not counted: code is compiled and connections are made in it. */
  readonly warmUpSeconds: number;
} & (
  | { readonly kind: "closed"; readonly outstanding: number }
  /** Sends start at fixed times whatever is under way; latency counts from the scheduled time. */
  | { readonly kind: "open"; readonly votesPerSecond: number }
);

export type LoadFigures = {
  readonly method: VoteSender["method"];
  readonly votesPerSend: number;
  readonly plan: LoadPlan;
  readonly acknowledged: number;
  readonly refused: number;
  readonly failed: number;
  /** Acknowledged a second, within the counted seconds. */
  readonly votesPerSecond: number;
  /** The same of the first and the last quarter: whether the rate is sustained. */
  readonly firstQuarterPerSecond: number;
  readonly lastQuarterPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Open loop: the most sends that were under way at once. Far above rate × latency means that the rate was not held. */
  readonly outstandingMax: number;
};

const drainLimitMs = 15_000;
/** A refusal says that a wait helps; without one a closed loop would spin on it. */
const refusedPauseMs = 20;
/** Open loop: beyond it the rate is far above what is served, and memory would grow with the backlog (I9). */
const openLoopVotesMax = 200_000;

export async function runLoad(sender: VoteSender, plan: LoadPlan): Promise<LoadFigures> {
  const run = new LoadRun(sender, plan);
  await (plan.kind === "closed" ? run.closedLoop(plan.outstanding) : run.openLoop(plan.votesPerSecond));
  await run.drain();
  return run.figures();
}

class LoadRun {
  readonly #sender: VoteSender;
  readonly #plan: LoadPlan;
  readonly #latency = new LatencyHistogram();
  readonly #startMs = performance.now();
  readonly #countFromMs: number;
  readonly #endMs: number;
  readonly #quarters = [0, 0, 0, 0];
  #refused = 0;
  #failed = 0;
  #outstanding = 0;
  #outstandingMax = 0;

  constructor(sender: VoteSender, plan: LoadPlan) {
    this.#sender = sender;
    this.#plan = plan;
    this.#countFromMs = this.#startMs + plan.warmUpSeconds * 1_000;
    this.#endMs = this.#countFromMs + plan.seconds * 1_000;
  }

  async closedLoop(outstanding: number): Promise<void> {
    const next = () => {
      const nowMs = performance.now();
      if (nowMs < this.#endMs) this.#send(nowMs, ({ acknowledged }) => (acknowledged > 0 ? next() : pauseThen(next)));
    };
    for (let i = 0; i < outstanding; i++) next();
    await delay(this.#endMs - performance.now());
  }

  async openLoop(votesPerSecond: number): Promise<void> {
    const { votesPerSend } = this.#sender;
    const everyMs = (votesPerSend * 1_000) / votesPerSecond;
    for (let sent = 0; ; ) {
      const nowMs = performance.now();
      if (nowMs >= this.#endMs) return;
      for (; this.#startMs + sent * everyMs <= nowMs; sent++) {
        if (this.#outstanding * votesPerSend > openLoopVotesMax) break;
        this.#send(this.#startMs + sent * everyMs, () => {});
      }
      await delay(Math.min(Math.max(0, this.#startMs + sent * everyMs - nowMs), 5));
    }
  }

  async drain(): Promise<void> {
    const limitMs = performance.now() + drainLimitMs;
    while (this.#outstanding > 0 && performance.now() < limitMs) await delay(20);
  }

  figures(): LoadFigures {
    const acknowledged = this.#quarters.reduce((sum, n) => sum + n, 0);
    const { method, votesPerSend } = this.#sender;
    const quarterSeconds = this.#plan.seconds / 4;
    return {
      method,
      votesPerSend,
      plan: this.#plan,
      acknowledged,
      refused: this.#refused,
      failed: this.#failed + this.#outstanding * votesPerSend,
      votesPerSecond: acknowledged / this.#plan.seconds,
      firstQuarterPerSecond: (this.#quarters[0] ?? 0) / quarterSeconds,
      lastQuarterPerSecond: (this.#quarters[3] ?? 0) / quarterSeconds,
      p50Ms: this.#latency.quantileMs(0.5),
      p99Ms: this.#latency.quantileMs(0.99),
      maxMs: this.#latency.maxMs,
      outstandingMax: this.#outstandingMax,
    };
  }

  #send(scheduledMs: number, then: (outcome: SendOutcome) => void): void {
    this.#outstanding++;
    if (this.#outstanding > this.#outstandingMax) this.#outstandingMax = this.#outstanding;
    this.#sender.send((outcome) => {
      this.#outstanding--;
      this.#count(outcome, scheduledMs);
      then(outcome);
    });
  }

  /** Closed loop: what is acknowledged within the counted seconds. Open loop: latency of what was scheduled in them. */
  #count({ acknowledged, refused, failed }: SendOutcome, scheduledMs: number): void {
    this.#refused += refused;
    this.#failed += failed;
    const nowMs = performance.now();
    if (acknowledged === 0) return;
    if (scheduledMs >= this.#countFromMs) this.#latency.record(nowMs - scheduledMs, acknowledged);
    if (nowMs < this.#countFromMs || nowMs >= this.#endMs) return;
    const quarter = Math.floor(((nowMs - this.#countFromMs) / (this.#endMs - this.#countFromMs)) * 4);
    this.#quarters[quarter] = (this.#quarters[quarter] ?? 0) + acknowledged;
  }
}

function pauseThen(next: () => void): void {
  setTimeout(next, refusedPauseMs);
}
