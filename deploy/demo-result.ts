/** The one line of JSON that the demo ends with. */
import type { ReplayReport } from "#bench/replay-account.ts";
import type { TallyVerdict } from "#bench/tally-check.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";

export type DemoFacts = {
  /** In the file. */
  ballots?: number;
  /** Undefined when nothing was sent. */
  replay?: ReplayReport;
  verdict?: TallyVerdict;
  nodes?: readonly ShardNodeStatus[];
  error?: string;
};

export function demoJson({ ballots, replay, verdict, nodes, error }: DemoFacts): string {
  const rejected = Object.values(replay?.rejected ?? {}).reduce((sum, votes) => sum + votes, 0);
  return JSON.stringify({
    schema_version: 1,
    ballots: ballots ?? 0,
    recorded: replay?.recorded ?? 0,
    repeats: replay?.repeats ?? 0,
    rejected,
    unknown: (replay?.unknown ?? 0) + (replay?.unsent ?? 0),
    seconds: rounded(replay?.seconds),
    votes_per_second: Math.round(replay?.votesPerSecond ?? 0),
    p50_ms: rounded(replay?.p50Ms),
    p99_ms: rounded(replay?.p99Ms),
    tally_matches_file: verdict?.tallyMatchesFile ?? false,
    recount_matches_tally: verdict?.recountMatchesTally ?? false,
    shards: shardsOf(nodes ?? []),
    error: error ?? null,
  });
}

/** What each shard's writer says. */
function shardsOf(nodes: readonly ShardNodeStatus[]) {
  return nodes
    .filter(({ role }) => role === ShardRole.WRITER)
    .sort((a, b) => a.shardId - b.shardId)
    .map(({ shardId, votes, standbyState }) => ({
      id: shardId,
      votes: Number(votes),
      standby_sync: standbyState === "sync",
    }));
}

function rounded(value = 0): number {
  return Math.round(value * 1_000) / 1_000;
}
