/** What the tally tells Prometheus, besides the process's own metrics. */
import { Counter, Gauge, Histogram } from "prom-client";
import type { Registry } from "#mesh/metrics.ts";
import type { AuditBoard } from "./audit-board.ts";
import type { CountBook } from "./count-book.ts";
import type { Clock } from "./shard-reading.ts";
import type { ShardRoster } from "./shard-roster.ts";
import type { ViewPublisher } from "./view-publisher.ts";
import type { Watchers } from "./watchers.ts";
import type { Witness } from "./witness.ts";

export type MeasuredParts = {
  readonly book: CountBook;
  readonly roster: ShardRoster;
  readonly watchers: Watchers;
  readonly witness: Witness;
  readonly audits: AuditBoard;
  readonly clock: Clock;
  /** Undefined without Redis. */
  readonly publisher: ViewPublisher | undefined;
};

export class TallyMetrics {
  readonly #registry: Registry;
  readonly #frames: Counter;
  readonly #publishSeconds: Histogram | undefined;

  constructor(registry: Registry, parts: MeasuredParts) {
    this.#registry = registry;
    this.#frames = new Counter({
      name: "urna_tally_frames_total",
      help: "Frames made",
      registers: [this.#registry],
    });
    this.#gauge("urna_tally_watchers", "Callers that watch", (gauge) => gauge.set(parts.watchers.count));
    this.#shardGauges(parts);
    this.#witnessMetrics(parts);
    if (parts.publisher !== undefined) this.#publishSeconds = this.#publisherMetrics(parts.publisher);
  }

  frameMade(): void {
    this.#frames.inc();
  }

  beatPublished(tookMs: number): void {
    this.#publishSeconds?.observe(tookMs / 1_000);
  }

  #publisherMetrics(publisher: ViewPublisher): Histogram {
    const registers = [this.#registry];
    this.#gauge("urna_tally_redis_up", "1 while Redis answers", (gauge) => gauge.set(publisher.redisAnswers ? 1 : 0));
    this.#gauge("urna_tally_wanted_views", "Regions and tables that routers listen for in Redis", (gauge) =>
      gauge.set(publisher.wantedViews),
    );
    new Counter({
      name: "urna_tally_published_answers_total",
      help: "Answers for Redis, by outcome: published, refused, unanswered, too_large, omitted",
      labelNames: ["outcome"],
      registers,
      collect() {
        this.reset();
        for (const [outcome, answers] of publisher.outcomes) this.inc({ outcome }, answers);
      },
    });
    new Counter({
      name: "urna_tally_skipped_beats_total",
      help: "Beats at which nothing was published, because Redis was behind or did not answer",
      registers,
      collect() {
        this.reset();
        this.inc(publisher.skippedBeats);
      },
    });
    return new Histogram({
      name: "urna_tally_publish_seconds",
      help: "From a beat to Redis's last answer",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2],
      registers,
    });
  }

  #shardGauges({ book, roster, clock }: MeasuredParts): void {
    this.#perShard("urna_tally_folded_batch", "Last batch of the shard that was folded", roster, (shardId) =>
      Number(book.foldedBatch(shardId)),
    );
    this.#perShard("urna_tally_shard_lag_seconds", "Age of the last batch that was folded", roster, (shardId) => {
      const stampMs = roster.followers.get(shardId)?.stampMs;
      return stampMs === undefined ? undefined : Math.max(0, clock.wallMs() - stampMs) / 1_000;
    });
    this.#perShard("urna_tally_shard_missing", "1 while newer votes of the shard may be lacking", roster, (shardId) =>
      roster.readings.get(shardId)?.missingSinceMs() === undefined ? 0 : 1,
    );
    this.#perShard(
      "urna_tally_shard_lost_batches",
      "1 while the shard holds less than was folded",
      roster,
      (shardId) => (roster.readings.get(shardId)?.hasLostBatches === true ? 1 : 0),
    );
  }

  #witnessMetrics({ witness, audits, roster }: MeasuredParts): void {
    this.#perShard(
      "urna_tally_witnessed_leaves",
      "Leaves of the highest checkpoint that the shard signed",
      roster,
      (shardId) => witness.shards.get(shardId)?.record?.highest.size,
    );
    this.#perShard(
      "urna_tally_verified_batch",
      "Batch through which an auditor says to have verified",
      roster,
      (shardId) => {
        const batch = audits.view().verified.get(shardId);
        return batch === undefined ? undefined : Number(batch);
      },
    );
    this.#gauge("urna_tally_audit_findings", "What auditors and the tally found to be wrong", (gauge) =>
      gauge.set(audits.view().findings.length),
    );
    new Counter({
      name: "urna_tally_refused_checkpoints_total",
      help: "Checkpoints of a shard that were not believed, by reason",
      labelNames: ["shard", "reason"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [shard, { refused }] of witness.shards) {
          for (const [reason, count] of refused) this.inc({ shard, reason }, count);
        }
      },
    });
  }

  #perShard(name: string, help: string, roster: ShardRoster, read: (shardId: number) => number | undefined): void {
    const collect = (gauge: Gauge<string>) => {
      for (const shardId of roster.readings.keys()) {
        const value = read(shardId);
        if (value !== undefined) gauge.set({ shard: shardId }, value);
      }
    };
    this.#gauge(name, help, collect, ["shard"]);
  }

  #gauge(name: string, help: string, collect: (gauge: Gauge<string>) => void, labelNames: string[] = []): void {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [this.#registry],
      collect() {
        collect(this);
      },
    });
  }
}
