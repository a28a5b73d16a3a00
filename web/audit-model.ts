/** What a frame says of the audit: how far it has come, whether it is still heard, what it found. No DOM here. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { TallyCut } from "#proto/generated/urna/v1/tally_service_pb.js";
import { formatClock, formatCount } from "./number-format.ts";

export type AuditCut = Pick<TallyCut, "verifiedThrough" | "auditFindings" | "auditSilentSince">;

export type FindingsBox = {
  /** Changes with the number of findings alone: it is read aloud each time. Undefined while all is clean. */
  readonly title: string | undefined;
  readonly findings: readonly string[];
};

/** Findings that are shown; of more the number is. */
const findingsShownMax = 10;

export function findingsBox(cut: AuditCut | undefined): FindingsBox {
  const findings = cut?.auditFindings ?? [];
  if (findings.length === 0) return { title: undefined, findings };
  const more = findings.length - findingsShownMax;
  return {
    title: findings.length === 1 ? "The audit found a fault" : `The audit found ${formatCount(findings.length)} faults`,
    findings: [...findings.slice(0, findingsShownMax), ...(more > 0 ? [`and ${formatCount(more)} more`] : [])],
  };
}

/** The batch through which the shard is verified; undefined when no auditor follows it. */
export function verifiedThrough(cut: AuditCut | undefined, shardId: number): string | undefined {
  const batch = cut?.verifiedThrough.find((position) => position.shardId === shardId)?.batch;
  return batch === undefined ? undefined : formatCount(batch);
}

/** Why what was verified may be old; undefined while an auditor is heard, or none ever was. */
export function auditSilence(cut: AuditCut | undefined): string | undefined {
  const since = cut?.auditSilentSince;
  if (since === undefined) return undefined;
  return `No auditor has been heard since ${formatClock(timestampDate(since))}: later batches may not be verified.`;
}
