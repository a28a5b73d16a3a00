/** How the shards stand, asked again and again: what the tally's frames cannot say (standby, votes, writer). */
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";

export const meshPollMs = 2_000;

export type MeshPoll = {
  readonly ask: () => Promise<readonly ShardNodeStatus[]>;
  /** `undefined` while it is not known. */
  readonly onNodes: (nodes: readonly ShardNodeStatus[] | undefined) => void;
  /** Whether the failure means that asking again is of no use. */
  readonly isFinal: (error: unknown) => boolean;
  readonly wait: (delayMs: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
};

/** Resolves when the signal is aborted, or when the server does not offer the call. */
export async function pollMesh(poll: MeshPoll): Promise<void> {
  while (!poll.signal.aborted) {
    try {
      poll.onNodes(await poll.ask());
    } catch (error) {
      poll.onNodes(undefined);
      if (poll.isFinal(error)) return;
    }
    await poll.wait(meshPollMs, poll.signal);
  }
}
