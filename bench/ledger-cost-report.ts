/** Replays with the ledger and without, compared. */
import type { PairsReport } from "#bench/replay-pairs.ts";
import { pairsMarkdown, percent } from "#bench/replay-pairs.ts";

/** Of the rate without ledger, what was promised to be kept. */
const promisedShare = 0.85;

export function isKept({ rate_kept }: Pick<PairsReport, "rate_kept">): boolean {
  return rate_kept >= promisedShare;
}

export function ledgerCostMarkdown(report: PairsReport): string {
  const verdict =
    `The ledger keeps **${percent(report.rate_kept)}** of the rate (median of the pairs; ${percent(promisedShare)} were promised), ` +
    `and by CPU a vote, which a busy\nmachine changes less, ${percent(report.rate_kept_by_cpu)}.`;
  return pairsMarkdown(report, "the ledger", verdict);
}
