/** The demo's election on the cluster: made and opened once, watched, and asked about. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ElectionFile } from "#bench/election-file.ts";
import { CallError } from "#mesh/call-error.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { MeshService, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { WatchTallyResponse } from "#proto/generated/urna/v1/tally_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

const callLimitMs = 20_000;
/** How long something may be refused that can succeed later. */
const patienceMs = 30_000;
const pauseMs = 200;

export type DemoMesh = {
  readonly routers: readonly string[];
  readonly adminToken: string;
  /** Undefined where routers speak plaintext. */
  readonly identity?: Identity | undefined;
};

/** Creates and opens the election unless it is there; answers whether it was. */
export async function ensureElection(mesh: DemoMesh, file: ElectionFile, signal: AbortSignal): Promise<boolean> {
  const [address = ""] = mesh.routers;
  const client = createClient(ElectionService, address, mesh.identity);
  const options = { deadlineMs: callLimitMs, signal, headers: { authorization: `Bearer ${mesh.adminToken}` } };
  try {
    const { definition, electionId } = file;
    const { election } = await retried(signal, () => client.createElection({ definition }, options));
    if (election?.state !== ElectionState.CREATED) return true;
    await retried(signal, () => client.openElection({ electionId }, options));
    return false;
  } catch (error) {
    if (error instanceof RejectionError && error.reason === "ELECTION_EXISTS") {
      throw new Error(
        `this folder holds another election named ${file.electionId}, with other candidates or precincts: ` +
          "choose another folder with --dir, or another name for the file",
      );
    }
    throw error;
  } finally {
    client.close();
  }
}

/** Ballots in the tally, once every shard has been read. */
export async function storedBallots(mesh: DemoMesh, electionId: string, signal: AbortSignal): Promise<number> {
  const [address = ""] = mesh.routers;
  const client = createClient(TallyService, address, mesh.identity);
  const until = performance.now() + patienceMs;
  try {
    for (;;) {
      const tally = await retried(signal, () => client.getTally({ electionId }, { deadlineMs: callLimitMs, signal }));
      if (tally.cut?.missing.length === 0 || performance.now() > until) return Number(tally.region?.ballots ?? 0n);
      await sleep(pauseMs, undefined, { signal });
    }
  } finally {
    client.close();
  }
}

/** Calls the listener with every frame until the signal fires, whatever dies meanwhile. */
export async function watchTally(
  mesh: DemoMesh,
  electionId: string,
  signal: AbortSignal,
  onFrame: (frame: WatchTallyResponse) => void,
): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const client = createClient(TallyService, mesh.routers[turn % mesh.routers.length] ?? "", mesh.identity);
    try {
      for await (const frame of client.watchTally({ electionId }, { signal })) onFrame(frame);
    } catch {
      // A router or the tally is being started again; a view of the votes does without for a moment.
    } finally {
      client.close();
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** How the shard nodes stand, when each shard has a writer, or after a while as it is. */
export async function meshNodes(mesh: DemoMesh, shards: number): Promise<readonly ShardNodeStatus[]> {
  const until = performance.now() + patienceMs;
  for (let turn = 0; ; turn++) {
    const client = createClient(MeshService, mesh.routers[turn % mesh.routers.length] ?? "", mesh.identity);
    const nodes = await client.getMeshStatus({}, { deadlineMs: callLimitMs }).then(
      (status) => status.nodes,
      () => [],
    );
    client.close();
    const ready = nodes.filter(({ role, standbyState }) => role === ShardRole.WRITER && standbyState === "sync");
    if (ready.length === shards || performance.now() > until) return nodes;
    await sleep(pauseMs);
  }
}

async function retried<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const mayPass = error instanceof CallError || (error instanceof RejectionError && error.retryable);
      if (!mayPass || signal.aborted || performance.now() > until) throw error;
      await sleep(pauseMs, undefined, { signal });
    }
  }
}
