/** A tally of the rig that is only a witness, and says what the test has it say. */
import type { ShardRig } from "#bench/shard-rig.ts";
import { waitFor } from "#deploy/wait-for.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

export type ScriptedTally = AsyncDisposable & {
  /** Resolves when a node was answered after this call. */
  answered(): Promise<void>;
};

/** `note`: the highest checkpoint that it has seen, or what it does until it has one. */
export async function scriptedTally(rig: ShardRig, note: () => Promise<Uint8Array>): Promise<ScriptedTally> {
  let answers = 0;
  const service = bind(WitnessService, {
    getHighestCheckpoint: async () => {
      const signedNote = await note();
      answers += 1;
      return { signedNote };
    },
    reportVerified: async () => {
      throw new RejectionError("INVALID_REQUEST", "this tally hears no auditors");
    },
  });
  const server = new GrpcServer([service]);
  await server.listen(await rig.tallyAddress());
  return {
    answered: async () => {
      const before = answers;
      await waitFor("a node to be answered by the tally", 20_000, () => (answers > before ? true : undefined));
    },
    [Symbol.asyncDispose]: async () => await server.close(100),
  };
}
