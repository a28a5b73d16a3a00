/** A signed result for people: what it says and proves, and what it does not. */
import { bulletLines } from "./bullet-list.ts";
import { formatCount, formatNumberOf } from "./number-format.ts";
import type { SignedResult } from "./result-document.ts";
import { totalsJson } from "./result-document.ts";
import { plainText, textTable } from "./text-table.ts";

export function verifiedResultLines(result: SignedResult): string[] {
  const { electionId, definitionHash, shards } = result;
  const signers = formatNumberOf(BigInt(shards.length), "shard");
  const lines = [
    `VERIFIED: the result of election ${electionId}, signed by ${signers}`,
    `  definition  ${definitionHash.toString("hex")}`,
    "",
    ...totalsTable(result),
    "",
    ...shardTable(result),
    "",
    "To whoever trusts the verifier keys it proves:",
    ...bulletLines([
      `Each shard signed these counts for this election, with this definition, when it had closed it; they add up to the totals.`,
    ]),
    "",
    "It does not prove:",
    ...bulletLines(unprovenByResult(result)),
  ];
  return lines.map(plainText);
}

export function verifiedResultJson(result: SignedResult) {
  return {
    verified: true,
    kind: "result",
    election_id: result.electionId,
    definition_hash: result.definitionHash.toString("hex"),
    totals: totalsJson(result),
    shards: result.shards.map(({ shardId, result: { checkpoint, closeBatch, ballots } }) => ({
      shard_id: shardId,
      log_origin: checkpoint.origin,
      tree_size: checkpoint.size,
      close_batch: closeBatch,
      ballots,
    })),
    not_proven: unprovenByResult(result),
  };
}

function unprovenByResult({ shards }: SignedResult): string[] {
  return [
    `That these are all shards. It is as many as keys were given, ${shards.length}: compare with who runs the election.`,
    "That the counts are those of the votes in the logs: that is what `urna audit` recomputes.",
    "That no voters were invented. That needs the list of who took part to be audited.",
    "That the keys are the right ones. They must come from a place that you trust, and not with this file.",
  ];
}

function totalsTable({ ballots, contests }: SignedResult): string[] {
  const columns = [{ head: "CONTEST" }, { head: "OPTION", flexible: true }, { head: "VOTES", align: "right" as const }];
  const rows = contests.flatMap(({ contestId, options, undervotes }) => [
    ...options.map(({ optionId, count }) => [contestId, optionId, formatCount(count)]),
    [contestId, "(undervotes)", formatCount(undervotes)],
  ]);
  return [`  ballots     ${formatCount(ballots)}`, "", ...textTable(columns, rows)];
}

function shardTable({ shards }: SignedResult): string[] {
  const columns = [
    { head: "SHARD", align: "right" as const },
    { head: "LOG", flexible: true },
    { head: "LEAVES", align: "right" as const },
    { head: "CLOSED IN BATCH", align: "right" as const },
    { head: "BALLOTS", align: "right" as const },
  ];
  const rows = shards.map(({ shardId, result: { checkpoint, closeBatch, ballots } }) => [
    String(shardId),
    checkpoint.origin,
    formatCount(checkpoint.size),
    formatCount(closeBatch),
    formatCount(ballots),
  ]);
  return textTable(columns, rows);
}
