/** Where an auditor finds the standbys of a cluster, as endpoints.json says. */
import type { ShardTarget } from "#auditor/shard-target.ts";
import type { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

export function standbyTargets({ endpoints }: EmbeddedCluster): ShardTarget[] {
  return endpoints.shards.map(({ id, postgres }) => {
    const standby = postgres.find(({ role }) => role === "standby");
    if (standby === undefined) throw new Error(`shard ${id} has no standby`);
    const { user, host, port, database } = standby;
    return { shardId: id, url: `postgres://${user}@${host}:${port}/${database}` };
  });
}
