/** The demo's figures in words. */
import type { ReplayProgress } from "#bench/replay-account.ts";
import type { RegionTally, WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";

const barWidth = 30;
const optionsShown = 4;
const numbers = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const formatCount = (count: number | bigint) => numbers.format(count);

/** The bar, the rate, how long it will take, and the shards' shares. */
export function progressLines(progress: ReplayProgress): string[] {
  const { ballots, settled, recentVotesPerSecond, votesPerSecond, perShard, resends } = progress;
  const done = ballots === 0 ? 1 : settled / ballots;
  const bar = "█".repeat(Math.floor(done * barWidth)).padEnd(barWidth, "░");
  const rate = `${formatCount(recentVotesPerSecond)} votes/s`;
  const left = votesPerSecond > 0 ? `  ETA ${formatDuration((ballots - settled) / votesPerSecond)}` : "";
  const again = resends > 0 ? `  sent again ${formatCount(resends)}` : "";
  return [
    `  ${bar} ${percent(done)}  ${formatCount(settled)} of ${formatCount(ballots)}  ${rate}${left}${again}`,
    `  ${shares(perShard)}`,
  ];
}

/** The newest frame, in one line. */
export function tallyLine(tally: WatchTallyResponse | undefined): string {
  if (tally?.region === undefined) return "  tally: no frame yet";
  const { region, cut } = tally;
  const missing = cut?.missing.map(({ shardId }) => shardId) ?? [];
  const lacking = missing.length === 0 ? "" : `  (shard ${missing.join(", ")} not read yet)`;
  return `  tally: ${formatCount(region.ballots)} ballots  ${leaders(region)}${lacking}`;
}

/** "12 s", "3 min 20 s" */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function leaders({ contests: [contest], ballots }: RegionTally): string {
  const options = [...(contest?.options ?? [])].sort((a, b) => Number(b.count - a.count)).slice(0, optionsShown);
  const share = (count: bigint) => percent(ballots === 0n ? 0 : Number(count) / Number(ballots)).trim();
  return options.map(({ optionId, count }) => `${optionId} ${formatCount(count)} (${share(count)})`).join("  ");
}

function shares(perShard: ReadonlyMap<string, number>): string {
  const total = [...perShard.values()].reduce((sum, votes) => sum + votes, 0);
  const byName = [...perShard].map(([origin, votes]) => [shardName(origin), votes] as const);
  byName.sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  return byName.map(([name, votes]) => `${name} ${percent(total === 0 ? 0 : votes / total).trim()}`).join("   ");
}

/** A log's origin ends in the number of its shard. */
function shardName(origin: string): string {
  return `shard ${/(\d+)[^\d]*$/.exec(origin)?.[1] ?? origin}`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`.padStart(7);
}
