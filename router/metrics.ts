/** What the router counts. Votes are counted in plain numbers and handed to the registry when somebody reads it. */
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "#mesh/metrics.ts";
import type { RejectionReason } from "#proto/rejections.ts";
import { ShedMetrics } from "./shed-metrics.ts";
import type { TallyFanout } from "./tally-fanout.ts";
import type { TallyRelay } from "./tally-relay.ts";

export type VoteOutcome = "recorded" | "repeat" | RejectionReason;

/** What is read when the registry is. */
export type RouterGauges = {
  readonly waitingVotes: () => number;
  readonly waitingBytes: () => number;
  readonly outstandingVotes: () => number;
  readonly connectedShards: () => number;
};

export class RouterMetrics {
  readonly sheds: ShedMetrics;
  readonly #outcomes = new Map<VoteOutcome, number>();
  readonly #frameVotes: Histogram;
  readonly #frameSeconds: Histogram;
  readonly #callSeconds: Histogram<"call">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.sheds = new ShedMetrics(registry);
    const outcomes = this.#outcomes;
    new Counter({
      name: "urna_router_votes_total",
      help: "Votes answered, by outcome: recorded, repeat, or the reason of the rejection",
      labelNames: ["outcome"],
      registers,
      collect() {
        this.reset();
        for (const [outcome, votes] of outcomes) this.inc({ outcome }, votes);
      },
    });
    this.#frameVotes = new Histogram({
      name: "urna_router_frame_votes",
      help: "Votes in a frame sent to a shard",
      buckets: [1, 4, 16, 64, 256, 1_024, 4_096],
      registers,
    });
    this.#frameSeconds = new Histogram({
      name: "urna_router_frame_seconds",
      help: "From sending a frame to its answer",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    });
    this.#callSeconds = new Histogram({
      name: "urna_router_call_seconds",
      help: "From the arrival of a call to its answer",
      labelNames: ["call"],
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    });
  }

  /** Called once, when the parts that are looked at exist. */
  watch(registry: Registry, gauges: RouterGauges): void {
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers: [registry],
        collect() {
          this.set(read());
        },
      });
    gauge("urna_router_waiting_votes", "Votes that are not yet on their way to their shard", gauges.waitingVotes);
    gauge("urna_router_waiting_bytes", "Bytes that all votes in the router take", gauges.waitingBytes);
    gauge("urna_router_outstanding_votes", "Votes in frames that are not answered yet", gauges.outstandingVotes);
    gauge("urna_router_connected_shards", "Shards with an open stream to their writer", gauges.connectedShards);
  }

  /** Called once; without Redis there is no fan-out, and all answers come from the tally. */
  watchTally(registry: Registry, { reads }: TallyRelay, fanout: TallyFanout | undefined): void {
    if (fanout === undefined) return;
    const registers = [registry];
    new Counter({
      name: "urna_router_tally_reads_total",
      help: "Answers about tallies and frames of shared watches, by where they came from: memory, redis, tally",
      labelNames: ["source"],
      registers,
      collect() {
        this.reset();
        for (const [source, answers] of reads) this.inc({ source }, answers);
      },
    });
    new Counter({
      name: "urna_router_tally_dropped_total",
      help: "Answers of Redis that were not taken, by reason: late, behind, unreadable, no_room",
      labelNames: ["reason"],
      registers,
      collect() {
        this.reset();
        for (const [reason, answers] of fanout.dropped) this.inc({ reason }, answers);
      },
    });
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    gauge("urna_router_redis_up", "1 while Redis answers", () => (fanout.redisAnswers ? 1 : 0));
    gauge("urna_router_tally_views", "Regions and tables whose latest answer is in memory", () => fanout.views);
    gauge("urna_router_tally_view_bytes", "Bytes of the answers in memory", () => fanout.bytes);
  }

  votesAnswered(outcome: VoteOutcome, votes = 1): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + votes);
  }

  frameSent(votes: number): void {
    this.#frameVotes.observe(votes);
  }

  frameAnswered(afterMs: number): void {
    this.#frameSeconds.observe(afterMs / 1_000);
  }

  /** Returns what to call when the call is answered. */
  callStarted(call: string): () => void {
    const startedAt = performance.now();
    return () => this.#callSeconds.observe({ call }, (performance.now() - startedAt) / 1_000);
  }
}
