/** Sends frames of votes to one shard node and says what became of each vote. Nothing is sent again here. */
import type { VoteFrame } from "#bench/rig-election.ts";
import type { ToldOutcome } from "#bench/vote-ledger.ts";
import type { Client } from "#mesh/grpc-client.ts";
import type { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { formatReceiptId } from "#proto/receipt-id.ts";

/** LOST: the stream ended without an answer, so the vote may be stored or not. */
export type OutcomeName = keyof typeof RecordOutcome | "LOST";

export type Answer = {
  readonly outcome: OutcomeName;
  /** Of RECORDED and REPEAT, else 0. */
  readonly leaf: number;
  readonly batch: number;
};

const lost: Answer = { outcome: "LOST", leaf: 0, batch: 0 };

/** One answer a vote, in order. Frames that the stream does not answer are LOST. */
export async function castFrames(
  client: Client<typeof ShardService>,
  frames: readonly VoteFrame[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<Answer[][]> {
  const answers: Answer[][] = frames.map(({ regions }) => (regions ?? []).map(() => lost));
  const call = client.recordVotes(options);
  for (const [i, frame] of frames.entries()) call.send({ ...frame, frameId: BigInt(i) });
  call.end();
  try {
    for await (const { frameId, outcomes, leafIndexes, batches } of call.responses) {
      answers[Number(frameId)] = outcomes.map((outcome, i) => ({
        outcome: RecordOutcome[outcome] as keyof typeof RecordOutcome,
        leaf: Number(leafIndexes[i]),
        batch: Number(batches[i]),
      }));
    }
  } catch {
    // What was answered before the stream broke stands; the rest is lost.
  }
  return answers;
}

/** For the ledger of acknowledgements, as a router would say it. */
export function toldOf({ outcome, leaf }: Answer): ToldOutcome {
  switch (outcome) {
    case "RECORDED":
    case "REPEAT": {
      const receiptId = formatReceiptId({ shardId: 0, leafIndex: BigInt(leaf) });
      const receipt = { receiptId, logOrigin: "urna/shard/0", leafIndex: leaf };
      return { kind: outcome === "RECORDED" ? "recorded" : "repeat", receipt };
    }
    case "LOST":
    case "UNKNOWN":
      return { kind: "unknown" };
    default:
      return { kind: "refused", reason: outcome };
  }
}

/** Whether sending the vote again can still record it. */
export function isUnsettled({ outcome }: Answer): boolean {
  return outcome === "LOST" || outcome === "UNKNOWN" || outcome === "OVERLOADED";
}
