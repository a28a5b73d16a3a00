/** What Prometheus sees of a shard node. */
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "#mesh/metrics.ts";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import type { CommitResult } from "./batch-commit.ts";

const recentCommitsMax = 100;
const recentMs = 10_000;

export class ShardMetrics {
  readonly #votes: Counter;
  readonly #commits: Counter;
  readonly #batchVotes: Histogram;
  readonly #commitSeconds: Histogram;
  readonly #waitingVotes: Gauge;
  readonly #standbyLagBytes: Gauge;
  readonly #writing: Gauge;
  /** The last batches, as a ring. */
  readonly #recentCommits: { readonly tookMs: number; readonly atMs: number }[] = [];
  #commitsTried = 0;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#votes = new Counter({
      name: "urna_shard_votes_total",
      help: "Votes answered, by outcome.",
      labelNames: ["outcome"],
      registers,
    });
    this.#commits = new Counter({
      name: "urna_shard_commits_total",
      help: "Batches tried, by what the commit said.",
      labelNames: ["result"],
      registers,
    });
    this.#batchVotes = new Histogram({
      name: "urna_shard_batch_votes",
      help: "New votes in a batch.",
      buckets: [0, 1, 4, 16, 64, 256, 1_024, 2_048, 4_096, 8_192],
      registers,
    });
    this.#commitSeconds = new Histogram({
      name: "urna_shard_commit_seconds",
      help: "From the first byte of a batch's transaction to the answer of its COMMIT.",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 10],
      registers,
    });
    this.#waitingVotes = new Gauge({
      name: "urna_shard_waiting_votes",
      help: "Votes received and in no batch.",
      registers,
    });
    this.#standbyLagBytes = new Gauge({
      name: "urna_shard_standby_lag_bytes",
      help: "WAL that the standby has not flushed.",
      registers,
    });
    this.#writing = new Gauge({
      name: "urna_shard_writing",
      help: "1 while this node is a writer that is ready.",
      registers,
    });
  }

  /** RecordOutcome of each vote of a frame. */
  answered(outcomes: Uint8Array): void {
    const counts = new Map<RecordOutcome, number>();
    for (const outcome of outcomes) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    for (const [outcome, n] of counts) this.#votes.inc({ outcome: RecordOutcome[outcome].toLowerCase() }, n);
  }

  commitTried(result: CommitResult["kind"], newVotes: number, tookMs: number): void {
    this.#commits.inc({ result });
    this.#batchVotes.observe(newVotes);
    this.#commitSeconds.observe(tookMs / 1_000);
    this.#recentCommits[this.#commitsTried++ % recentCommitsMax] = { tookMs, atMs: performance.now() };
  }

  /** Of the last batches, a hundred at most, that are not older than ten seconds; 0 when there are none. */
  get commitMsP99(): number {
    const sinceMs = performance.now() - recentMs;
    const recent = this.#recentCommits.filter(({ atMs }) => atMs >= sinceMs).map(({ tookMs }) => tookMs);
    const sorted = recent.sort((a, b) => a - b);
    return Math.round(sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0);
  }

  observe(state: { waitingVotes: number; standbyLagBytes: number; writing: boolean }): void {
    this.#waitingVotes.set(state.waitingVotes);
    this.#standbyLagBytes.set(state.standbyLagBytes);
    this.#writing.set(state.writing ? 1 : 0);
  }
}
