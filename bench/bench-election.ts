/** The election of a measurement. */
import type { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";

/** Creates and opens it. */
export async function openElection(cluster: EmbeddedCluster, definition: ElectionDefinition): Promise<void> {
  const client = createClient(ElectionService, cluster.endpoints.routers[0]?.grpc ?? "");
  const headers = { authorization: `Bearer ${cluster.adminToken()}` };
  try {
    await client.createElection({ definition }, { headers });
    await client.openElection({ electionId: definition.electionId }, { headers });
  } finally {
    client.close();
  }
}
