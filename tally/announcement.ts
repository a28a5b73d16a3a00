/** How the tally stands, as operators read it in the registry. */
import { grouped, type Standing, serviceMeta, statusOf } from "#mesh/announcing.ts";
import type { HostPort } from "#mesh/host-port.ts";
import type { AuditBoard } from "./audit-board.ts";
import type { ShardReading } from "./shard-reading.ts";
import type { Watchers } from "./watchers.ts";

export type AnnouncedTally = {
  readonly name: string;
  readonly addresses: { readonly grpc: HostPort; readonly connect: HostPort; readonly metrics: HostPort };
  readonly readings: ReadonlyMap<number, ShardReading>;
  readonly watchers: Watchers;
  readonly audits: AuditBoard;
  /** Why a part is out of order that the tally can do without; empty ones are not shown. */
  readonly troubles: () => readonly string[];
};

export function standingOf(parts: AnnouncedTally): Standing {
  const { grpc, ...others } = parts.addresses;
  const readings = [...parts.readings];
  const missing = readings.filter(([, reading]) => reading.missingSinceMs() !== undefined).map(([shardId]) => shardId);
  const lost = readings.filter(([, reading]) => reading.hasLostBatches).map(([shardId]) => shardId);
  const findings = parts.audits.view().findings.length;
  const troubles = [
    ...(lost.length === 0
      ? []
      : [{ level: "critical", line: `${shards(lost)}: batches that were counted are lost` } as const]),
    ...(findings === 0
      ? []
      : [{ level: "critical", line: `${findings} audit findings: see the results page` } as const]),
    ...(missing.length === 0
      ? []
      : [{ level: "warning", line: `newer votes of ${shards(missing)} may be lacking` } as const]),
    ...parts.troubles().flatMap((line) => (line === "" ? [] : [{ level: "warning", line } as const])),
  ];
  const well = `${readings.length - missing.length} of ${readings.length} shards read to their end, ${grouped(parts.watchers.count)} watchers`;
  return {
    announcement: { service: "urna-tally", id: parts.name, ...grpc, tags: [], meta: serviceMeta(others) },
    status: statusOf("tally", troubles, well),
  };
}

function shards(ids: readonly number[]): string {
  return `${ids.length === 1 ? "shard" : "shards"} ${ids.join(", ")}`;
}
