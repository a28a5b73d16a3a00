/** An audit in words. */
import { describeFinding, type Finding, findingKinds } from "#auditor/audit-finding.ts";
import { type AuditReport, type ShardReport, verifiedThrough } from "#auditor/audit-report.ts";
import type { OpenedCommitment } from "#auditor/opened-commitment.ts";
import { formatCount, formatNumberOf, formatShare } from "./number-format.ts";
import { plainText } from "./text-table.ts";

const barWidth = 30;

export function progressLine(shardId: number, leaves: number, allLeaves: number): string {
  const done = allLeaves === 0 ? 1 : leaves / allLeaves;
  const bar = "█".repeat(Math.floor(done * barWidth)).padEnd(barWidth, "░");
  const share = formatShare(BigInt(leaves), BigInt(allLeaves));
  return `shard ${shardId}: ${bar} ${share}  ${formatCount(leaves)} of ${formatCount(allLeaves)} leaves`;
}

export function reportLines(report: AuditReport): string[] {
  const { shards, rows, seconds, findings, findingCount, gaps } = report;
  const rate = formatCount(Math.round(rows / Math.max(seconds, 1e-3)));
  return [
    `${formatCount(rows)} rows read on ${shards.length} standbys in ${seconds.toFixed(1)} s (${rate} rows/s)`,
    ...shards.map(shardLine),
    ...comparedLines(report),
    ...gaps.map((gap) => `NOT COMPLETE: ${plainText(gap)}`),
    ...(findingCount === 0 ? [] : findingLines(findings, findingCount)),
    verdict(report),
  ];
}

/** One line a pass, for whoever follows. */
export function passLine(report: AuditReport): string {
  const { rows, seconds, findingCount } = report;
  const vector = verifiedThrough(report).map(({ shardId, batch }) => `shard ${shardId} to batch ${formatCount(batch)}`);
  const verified = vector.length === 0 ? "nothing verified" : `verified: ${vector.join(", ")}`;
  const found = findingCount === 0 ? "" : `; ${formatCount(findingCount)} FINDINGS`;
  return `${formatCount(rows)} rows in ${seconds.toFixed(1)} s; ${verified}${found}`;
}

/** "ROW_CHANGED: shard 1, leaf 7: …" */
export function findingLine(finding: Finding): string {
  return `${finding.kind}: ${plainText(describeFinding(finding))}`;
}

function shardLine({ shardId, throughBatch, leaves, signedLeaves, isClean }: ShardReport): string {
  const state = isClean ? "clean" : "NOT CLEAN";
  const signed = signedLeaves >= leaves ? "all" : formatCount(signedLeaves);
  return `shard ${shardId}: ${state} through batch ${formatCount(throughBatch)}: ${formatCount(leaves)} leaves, ${signed} of them under a signed root`;
}

function comparedLines({ elections }: AuditReport): string[] {
  if (elections.length === 0) return [];
  const named = elections.length > 5 ? `${elections.length} elections` : elections.join(", ");
  return [`tallies and results compared: ${named}`];
}

function findingLines(findings: readonly Finding[], count: number): string[] {
  const lines: string[] = [];
  for (const [kind, ofKind] of Map.groupBy(findings, (finding) => finding.kind)) {
    lines.push(
      `${kind}: ${findingKinds[kind]}`,
      ...ofKind.map((finding) => `  ${plainText(describeFinding(finding))}`),
    );
  }
  return count > findings.length ? [...lines, `and ${formatCount(count - findings.length)} more`] : lines;
}

function verdict({ findingCount, gaps }: AuditReport): string {
  if (findingCount > 0) return `NOT CLEAN: ${formatNumberOf(BigInt(findingCount), "finding")}`;
  return gaps.length > 0 ? "nothing was found, but the audit is not complete" : "CLEAN";
}

export function openedLines(opened: OpenedCommitment, shardId: number, proof: string): string[] {
  const selections = opened.selections.length === 0 ? "none" : opened.selections.join(", ");
  return [
    `election    ${opened.electionId}`,
    `shard       ${shardId}, leaf ${formatCount(opened.leaf)}, batch ${formatCount(opened.batch)}`,
    `region      ${opened.regionId ?? "?"} (number ${opened.region} of the definition)`,
    `selections  ${plainText(selections)}`,
    `ballot      ${hex(opened.ballot)}`,
    `nonce       ${hex(opened.nonce)}`,
    `commitment  ${hex(opened.commitment)}`,
    "            = SHA-256(nonce || ballot || region), made again here",
    `nullifier   ${hex(opened.nullifier)}`,
    `leaf hash   ${hex(opened.leafHash)}`,
    proof,
  ];
}

function hex(bytes: Buffer): string {
  return bytes.length === 0 ? "(empty)" : bytes.toString("hex");
}
