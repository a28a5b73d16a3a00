/** The calls of ShardService that read the ledger. The writer answers: what it shows is durable. */
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import type { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { formatLogOrigin } from "#proto/log-origin.ts";
import { RejectionError } from "#proto/rejections.ts";
import { ElectionResults, electionResultText } from "./election-result.ts";
import { demandLeaf, demandSizes, proveConsistency, proveInclusion } from "./ledger-reader.ts";
import type { ShardNode } from "./node.ts";
import type { ReaderPool } from "./reader-pool.ts";

export type LedgerCalls = Pick<
  ServiceImplementation<typeof ShardService>,
  "getShardCheckpoint" | "proveInclusion" | "proveConsistency" | "getShardResult" | "acceptShardLoss"
>;

export function ledgerCalls(node: ShardNode, readers: ReaderPool): LedgerCalls {
  const read = <T>(work: Parameters<typeof readers.use<T>>[0], { signal }: CallContext) => readers.use(work, signal);
  const results = new ElectionResults();
  return {
    getShardCheckpoint: async ({ kept }) => {
      if (kept && node.state.kind === "spare") return { signedNote: node.keptCheckpoint };
      const { note, verifierKey } = node.requireWriter().checkpoint;
      return { signedNote: note, verifierKey };
    },
    proveInclusion: async ({ leafIndex, treeSize }, call) => {
      const { writer } = node.requireWriter();
      demandLeaf(leafIndex, treeSize, writer.feed.ledgerHead.size);
      return await read((client) => proveInclusion(client, writer.book, Number(leafIndex), Number(treeSize)), call);
    },
    proveConsistency: async ({ oldSize, newSize }, call) => {
      demandSizes(oldSize, newSize, node.requireWriter().writer.feed.ledgerHead.size);
      return await read((client) => proveConsistency(client, Number(oldSize), Number(newSize)), call);
    },
    getShardResult: async ({ electionId }) => {
      const { writer, checkpoint } = node.requireWriter();
      const election = writer.book.entry(electionId);
      if (election === undefined)
        throw new RejectionError("UNKNOWN_ELECTION", `no election has the id "${electionId}"`);
      const { durableBatch } = writer.feed;
      const origin = formatLogOrigin(writer.head);
      // Not ended by its first caller: others may wait for it too.
      const make = async () =>
        checkpoint.sign(await readers.use((client) => electionResultText(client, origin, election, durableBatch)));
      return { signedNote: await results.note(origin, electionId, make) };
    },
    acceptShardLoss: async ({ requestedBy }) => ({ logOrigin: await node.acceptLoss(requestedBy) }),
  };
}
