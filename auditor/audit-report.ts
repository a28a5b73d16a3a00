/** What an audit has come to, for programs; the command says it in words. */
import { describeFinding, type Finding, findingKinds } from "./audit-finding.ts";

export type ShardReport = {
  readonly shardId: number;
  /** The last batch, and the leaves up to it, that were audited. */
  readonly throughBatch: number;
  readonly leaves: number;
  /** Of these, how many a signed root that holds covers. */
  readonly signedLeaves: number;
  /** Signed checkpoints that are known. */
  readonly checkpoints: number;
  /** Undefined where none is known. */
  readonly verifierKey: string | undefined;
  /** Whether nothing is wrong with this shard. */
  readonly isClean: boolean;
};

export type AuditReport = {
  readonly shards: readonly ShardReport[];
  /** Those whose tally was compared. */
  readonly elections: readonly string[];
  readonly findings: readonly Finding[];
  /** Also of findings that were not kept. */
  readonly findingCount: number;
  /** What could not be asked; the audit is not complete then. */
  readonly gaps: readonly string[];
  /** Keys that were trusted because they came first. */
  readonly newKeys: readonly { readonly shardId: number; readonly verifierKey: string }[];
  readonly rows: number;
  readonly seconds: number;
  /** Of this process. */
  readonly cpuSeconds: number;
};

/** The batch through which each shard is verified; shards with findings are left out, and all where one is about none. */
export function verifiedThrough({ shards, findings }: AuditReport): { shardId: number; batch: number }[] {
  if (findings.some(({ shardId }) => shardId === undefined)) return [];
  return shards.filter(({ isClean }) => isClean).map(({ shardId, throughBatch }) => ({ shardId, batch: throughBatch }));
}

/** The report as one JSON document. */
export function reportJson(report: AuditReport): Record<string, unknown> {
  const { shards, elections, findings, findingCount, gaps, newKeys, rows, seconds, cpuSeconds } = report;
  return {
    schema_version: 1,
    clean: findingCount === 0 && gaps.length === 0,
    verified_through: verifiedThrough(report).map(({ shardId, batch }) => ({ shard_id: shardId, batch })),
    findings: findings.map(findingJson),
    finding_count: findingCount,
    gaps,
    elections,
    shards: shards.map((shard) => ({
      shard_id: shard.shardId,
      clean: shard.isClean,
      through_batch: shard.throughBatch,
      leaves: shard.leaves,
      signed_leaves: shard.signedLeaves,
      checkpoints: shard.checkpoints,
      verifier_key: shard.verifierKey ?? null,
    })),
    keys_trusted_on_first_use: newKeys.map(({ shardId, verifierKey }) => ({
      shard_id: shardId,
      verifier_key: verifierKey,
    })),
    rows,
    seconds: rounded(seconds),
    rows_per_second: Math.round(rows / Math.max(seconds, 1e-3)),
    cpu_us_per_row: rows === 0 ? null : rounded((cpuSeconds * 1e6) / rows),
  };
}

function findingJson(finding: Finding): Record<string, unknown> {
  const { kind, shardId, leaf, throughLeaf, batch, throughBatch, electionId, detail } = finding;
  return {
    kind,
    meaning: findingKinds[kind],
    shard_id: shardId ?? null,
    leaf: leaf ?? null,
    through_leaf: throughLeaf ?? leaf ?? null,
    batch: batch ?? null,
    through_batch: throughBatch ?? batch ?? null,
    election_id: electionId ?? null,
    detail,
    text: describeFinding(finding),
  };
}

function rounded(n: number): number {
  return Math.round(n * 1_000) / 1_000;
}
