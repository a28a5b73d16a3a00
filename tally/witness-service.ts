/** WitnessService: what is known of the shards outside their databases. For shard nodes and auditors, not for browsers. */
import type { ServiceImplementation } from "#mesh/service-call.ts";
import type { ReportVerifiedRequest, WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { auditFindingLengthMax, auditFindingsMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { AuditBoard } from "./audit-board.ts";
import type { Witness } from "./witness.ts";

const auditorLengthMax = 64;

export type WitnessServiceParts = {
  readonly witness: Pick<Witness, "highest">;
  readonly audits: AuditBoard;
  /** All shards that there are. */
  shardIds(): ReadonlySet<number>;
};

/** To be bound with `bind`. */
export function witnessCalls(parts: WitnessServiceParts): ServiceImplementation<typeof WitnessService> {
  const { witness, audits, shardIds } = parts;
  return {
    getHighestCheckpoint: async ({ shardId }) => ({ signedNote: witness.highest(shardId) ?? new Uint8Array() }),
    reportVerified: async (request) => {
      const verified = verifiedOf(request, shardIds());
      demandTexts(request);
      audits.report({ auditor: request.auditor, verified, findings: request.findings });
      return {};
    },
  };
}

function verifiedOf({ verified }: ReportVerifiedRequest, shardIds: ReadonlySet<number>): Map<number, bigint> {
  const batches = new Map<number, bigint>();
  for (const { shardId, batch } of verified) {
    demand(shardIds.has(shardId), `there is no shard ${shardId}`);
    demand(!batches.has(shardId), `shard ${shardId} is named twice`);
    batches.set(shardId, batch);
  }
  return batches;
}

function demandTexts({ auditor, findings }: ReportVerifiedRequest): void {
  demand(auditor.length <= auditorLengthMax, `the auditor's name has more than ${auditorLengthMax} characters`);
  demand(findings.length <= auditFindingsMax, `there are ${findings.length} findings; at most ${auditFindingsMax}`);
  const longest = Math.max(0, ...findings.map(({ length }) => length));
  demand(longest <= auditFindingLengthMax, `a finding has ${longest} characters; at most ${auditFindingLengthMax}`);
}

function demand(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RejectionError("INVALID_REQUEST", message);
}
