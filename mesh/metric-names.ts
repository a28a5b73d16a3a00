/**
 * Every metric of Urna's own: what each process shows on its page, and what it means. `docs/metrics.md` is made from it, and a
 * test compares it with the pages of a running cluster. Beside them each page has those of Node itself (`process_…`,
 * `nodejs_…`), as prom-client names them.
 */
export type MetricEntry = {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly unit: string;
  readonly meaning: string;
};

/** On the pages of these services, of those processes alone that have what they need. */
export type MetricGroup = {
  readonly services: readonly MeasuredService[];
  readonly needs: "nothing" | "redis" | "identity";
  readonly metrics: readonly MetricEntry[];
};

export const measuredServices = ["urna-router", "urna-shard", "urna-tally"] as const;
export type MeasuredService = (typeof measuredServices)[number];

const counter = entry("counter");
const gauge = entry("gauge");
const histogram = entry("histogram");

export const metricGroups: readonly MetricGroup[] = [
  {
    services: measuredServices,
    needs: "nothing",
    metrics: [
      counter(
        "urna_rpc_calls_total",
        ["rpc", "transport", "code"],
        "calls",
        "Calls answered, by method, transport and gRPC code",
      ),
      histogram("urna_rpc_seconds", ["rpc", "transport"], "seconds", "From the arrival of a unary call to its answer"),
      histogram(
        "urna_rpc_refusal_seconds",
        ["rpc", "transport"],
        "seconds",
        "The same of those answered RESOURCE_EXHAUSTED: a server with too much to do says so soon",
      ),
      gauge("urna_build_info", ["service", "version"], "1", "1; the labels say which release of which service this is"),
      gauge("urna_directory_trouble", [], "0 or 1", "1 while discovery cannot be read, and the last view of it stands"),
      gauge("urna_map_epoch", [], "epoch", "Epoch of the shard map that this process goes by"),
      counter(
        "urna_trace_spans_total",
        ["result"],
        "spans",
        "Spans of traces, by what became of them: exported, or dropped for want of a collector",
      ),
    ],
  },
  {
    services: measuredServices,
    needs: "identity",
    metrics: [
      gauge(
        "urna_certificate_seconds_left",
        [],
        "seconds",
        "Until the certificate in use expires; negative afterwards",
      ),
    ],
  },
  {
    services: ["urna-router"],
    needs: "nothing",
    metrics: [
      counter(
        "urna_router_shed_votes_total",
        ["cause"],
        "votes",
        "Votes that were not let in, by cause: router (it is full), unread (likewise; whole calls), share, queue_time, stuck, breaker (of their shard)",
      ),
      counter(
        "urna_router_resent_votes_total",
        ["cause"],
        "votes",
        "Votes sent again to a shard, by cause: wrong_shard, unknown, broken_stream",
      ),
      counter(
        "urna_router_given_up_votes_total",
        [],
        "votes",
        "Votes that were sent as often as a vote may be, and answered with what was known",
      ),
      counter(
        "urna_router_votes_total",
        ["outcome"],
        "votes",
        "Votes answered, by outcome: recorded, repeat, or the reason of the rejection",
      ),
      histogram("urna_router_frame_votes", [], "votes", "Votes in a frame sent to a shard"),
      histogram("urna_router_frame_seconds", [], "seconds", "From sending a frame to its answer"),
      histogram("urna_router_call_seconds", ["call"], "seconds", "From the arrival of a call to its answer"),
      gauge("urna_router_waiting_votes", [], "votes", "Votes that are not yet on their way to their shard"),
      gauge("urna_router_waiting_bytes", [], "bytes", "Bytes that all votes in the router take"),
      gauge("urna_router_outstanding_votes", [], "votes", "Votes in frames that are not answered yet"),
      gauge("urna_router_connected_shards", [], "shards", "Shards with an open stream to their writer"),
      gauge(
        "urna_router_shard_breaker_state",
        ["shard"],
        "0, 1 or 2",
        "0: in service; 2: taken out, its votes are refused at once; 1: being tried",
      ),
      gauge(
        "urna_router_shard_oldest_waiting_seconds",
        ["shard"],
        "seconds",
        "How long the oldest vote that is not yet on its way to the shard has waited",
      ),
      gauge("urna_router_shard_held_votes", ["shard"], "votes", "Votes of the shard that wait or are on their way"),
    ],
  },
  {
    services: ["urna-router"],
    needs: "redis",
    metrics: [
      counter(
        "urna_router_tally_reads_total",
        ["source"],
        "answers",
        "Answers about tallies and frames of shared watches, by where they came from: memory, redis, tally",
      ),
      counter(
        "urna_router_tally_dropped_total",
        ["reason"],
        "answers",
        "Answers of Redis that were not taken, by reason: late, behind, unreadable, no_room",
      ),
      gauge("urna_router_redis_up", [], "0 or 1", "1 while Redis answers"),
      gauge("urna_router_tally_views", [], "views", "Regions and tables whose latest answer is in memory"),
      gauge("urna_router_tally_view_bytes", [], "bytes", "Bytes of the answers in memory"),
    ],
  },
  {
    services: ["urna-shard"],
    needs: "nothing",
    metrics: [
      counter("urna_shard_votes_total", ["outcome"], "votes", "Votes answered, by outcome."),
      counter("urna_shard_commits_total", ["result"], "batches", "Batches tried, by what the commit said."),
      histogram("urna_shard_batch_votes", [], "votes", "New votes in a batch."),
      histogram(
        "urna_shard_commit_seconds",
        [],
        "seconds",
        "From the first byte of a batch's transaction to the answer of its COMMIT.",
      ),
      gauge("urna_shard_waiting_votes", [], "votes", "Votes received and in no batch."),
      gauge("urna_shard_standby_lag_bytes", [], "bytes", "WAL that the standby has not flushed."),
      gauge("urna_shard_writing", [], "0 or 1", "1 while this node is a writer that is ready."),
    ],
  },
  {
    services: ["urna-tally"],
    needs: "nothing",
    metrics: [
      counter("urna_tally_frames_total", [], "frames", "Frames made"),
      gauge("urna_tally_watchers", [], "callers", "Callers that watch"),
      gauge("urna_tally_folded_batch", ["shard"], "number of a batch", "Last batch of the shard that was folded"),
      gauge("urna_tally_shard_lag_seconds", ["shard"], "seconds", "Age of the last batch that was folded"),
      gauge("urna_tally_shard_missing", ["shard"], "0 or 1", "1 while newer votes of the shard may be lacking"),
      gauge("urna_tally_shard_lost_batches", ["shard"], "0 or 1", "1 while the shard holds less than was folded"),
      gauge(
        "urna_tally_witnessed_leaves",
        ["shard"],
        "leaves",
        "Leaves of the highest checkpoint that the shard signed",
      ),
      gauge(
        "urna_tally_verified_batch",
        ["shard"],
        "number of a batch",
        "Batch through which an auditor says to have verified",
      ),
      gauge("urna_tally_audit_findings", [], "findings", "What auditors and the tally found to be wrong"),
      counter(
        "urna_tally_refused_checkpoints_total",
        ["shard", "reason"],
        "checkpoints",
        "Checkpoints of a shard that were not believed, by reason",
      ),
    ],
  },
  {
    services: ["urna-tally"],
    needs: "redis",
    metrics: [
      gauge("urna_tally_redis_up", [], "0 or 1", "1 while Redis answers"),
      gauge("urna_tally_wanted_views", [], "views", "Regions and tables that routers listen for in Redis"),
      counter(
        "urna_tally_published_answers_total",
        ["outcome"],
        "answers",
        "Answers for Redis, by outcome: published, refused, unanswered, too_large, omitted",
      ),
      counter(
        "urna_tally_skipped_beats_total",
        [],
        "beats",
        "Beats at which nothing was published, because Redis was behind or did not answer",
      ),
      histogram("urna_tally_publish_seconds", [], "seconds", "From a beat to Redis's last answer"),
    ],
  },
];

function entry(type: MetricEntry["type"]) {
  return (name: string, labels: readonly string[], unit: string, meaning: string): MetricEntry => {
    return { name, type, labels, unit, meaning };
  };
}
