/**
 * LedgerService: checkpoints, proofs, keys and signed results, passed on from each shard's present writer. Nothing of it is
 * checked here: whoever asks has to check it anyway. What no log could answer is refused before a shard hears of it (I9).
 */
import type { CallOptions } from "#mesh/grpc-client.ts";
import type { CallContext, ServiceImplementation } from "#mesh/service-call.ts";
import type { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { type AdminToken, adminIdentity } from "./admin-token.ts";
import { answerWithinMs } from "./call-deadline.ts";
import type { Gate } from "./gate.ts";
import type { ShardLinks } from "./shard-links.ts";
import type { ShardClient, ShardNodes } from "./shard-nodes.ts";

export type LedgerServiceParts = {
  readonly links: ShardLinks;
  readonly gate: Gate;
  readonly adminToken: AdminToken;
};

type ShardCall<T> = (shard: ShardClient, options: CallOptions) => Promise<T>;

/** Leaves of a tree, at most: beyond it sizes would not be exact numbers in every part of Urna. */
const treeSizeMax = BigInt(Number.MAX_SAFE_INTEGER);

export function ledgerService(parts: LedgerServiceParts): ServiceImplementation<typeof LedgerService> {
  const { links } = parts;
  return {
    async getCheckpoint({ shardId }, call) {
      const { signedNote } = await ask(shardOf(links, shardId), call, (shard, options) =>
        shard.getShardCheckpoint({}, options),
      );
      return { signedNote };
    },
    async getInclusionProof({ shardId, leafIndex, treeSize }, call) {
      const nodes = shardOf(links, shardId);
      demandInclusion(leafIndex, treeSize);
      const { hashes, entry } = await ask(nodes, call, (shard, options) =>
        shard.proveInclusion({ leafIndex, treeSize }, options),
      );
      return { hashes, entry };
    },
    async getConsistencyProof({ shardId, oldSize, newSize }, call) {
      const nodes = shardOf(links, shardId);
      demandConsistency(oldSize, newSize);
      const { hashes } = await ask(nodes, call, (shard, options) =>
        shard.proveConsistency({ oldSize, newSize }, options),
      );
      return { hashes };
    },
    getVerifierKeys: async (_request, call) => ({ keys: await verifierKeys(links, call) }),
    getElectionResult: async ({ electionId }, call) => ({ results: await shardResults(links, electionId, call) }),
    acceptLoss: async ({ shardId }, call) => ({ logOrigin: await acceptLoss(parts, shardId, call) }),
  };
}

function ask<T>(nodes: ShardNodes, call: CallContext, shardCall: ShardCall<T>): Promise<T> {
  return nodes.ask(answerWithinMs(call.deadlineMs), (shard, deadlineMs) =>
    shardCall(shard, { deadlineMs, trace: call.trace }),
  );
}

function shardOf({ allNodes }: ShardLinks, shardId: number): ShardNodes {
  const nodes = allNodes.find((candidate) => candidate.shardId === shardId);
  if (nodes !== undefined) return nodes;
  throw new RejectionError(
    "NOT_FOUND",
    `there is no shard ${shardId}: GetVerifierKeys lists the shards that there are`,
  );
}

function demandInclusion(leafIndex: bigint, treeSize: bigint): void {
  demandTreeSize("tree_size", treeSize);
  if (leafIndex < treeSize) return;
  const last = treeSize - 1n;
  throw new RejectionError(
    "INVALID_REQUEST",
    `leaf_index ${leafIndex} is beyond a tree of ${treeSize} leaves, whose last one is ${last}: ask for a larger tree_size`,
  );
}

function demandConsistency(oldSize: bigint, newSize: bigint): void {
  demandTreeSize("old_size", oldSize);
  demandTreeSize("new_size", newSize);
  if (oldSize <= newSize) return;
  throw new RejectionError(
    "INVALID_REQUEST",
    `old_size ${oldSize} is larger than new_size ${newSize}: give the smaller size as old_size`,
  );
}

function demandTreeSize(field: string, size: bigint): void {
  const advice = "take it from a checkpoint, as GetCheckpoint gives it";
  if (size === 0n) {
    throw new RejectionError("INVALID_REQUEST", `${field} is 0, and of an empty tree nothing can be proved: ${advice}`);
  }
  if (size > treeSizeMax) throw new RejectionError("NOT_FOUND", `${field} ${size} is beyond every log: ${advice}`);
}

/** Of every shard, or SHARD_UNAVAILABLE that names one: a list with a gap could be taken for a whole one. */
function verifierKeys({ allNodes }: ShardLinks, call: CallContext) {
  return Promise.all(
    allNodes.map(async (nodes) => {
      const { verifierKey } = await ask(nodes, call, (shard, options) => shard.getShardCheckpoint({}, options));
      return { shardId: nodes.shardId, verifierKey };
    }),
  );
}

type ShardAnswer = { readonly shardId: number; readonly result: Uint8Array | RejectionError };

/** Of every shard, or a rejection: a result with a gap would be none. */
async function shardResults({ allNodes }: ShardLinks, electionId: string, call: CallContext) {
  const answers = await Promise.all(allNodes.map((nodes) => shardResult(nodes, electionId, call)));
  const refused = answers.flatMap(({ result }) => (result instanceof RejectionError ? [result] : []));
  const [first] = refused;
  if (first === undefined) return answers.flatMap(noteOf);
  if (refused.length === answers.length && refused.every(({ reason }) => reason === "UNKNOWN_ELECTION")) throw first;
  const open = answers.filter(({ result }) => result instanceof RejectionError && saysNotClosed(result));
  if (open.length === 0) throw first;
  const where = open.map(({ shardId }) => shardId).join(", ");
  throw new RejectionError(
    "RESULTS_SEALED",
    `"${electionId}" is not closed on shard ${where}: a result is there once the election is closed on every shard`,
  );
}

async function shardResult(nodes: ShardNodes, electionId: string, call: CallContext): Promise<ShardAnswer> {
  const { shardId } = nodes;
  try {
    const { signedNote } = await ask(nodes, call, (shard, options) => shard.getShardResult({ electionId }, options));
    return { shardId, result: signedNote };
  } catch (cause) {
    if (cause instanceof RejectionError) return { shardId, result: cause };
    throw cause;
  }
}

function noteOf({ shardId, result }: ShardAnswer) {
  return result instanceof RejectionError ? [] : [{ shardId, signedNote: result }];
}

/** A shard that has not heard of an election that others know has not closed it either. */
function saysNotClosed({ reason }: RejectionError): boolean {
  return reason === "RESULTS_SEALED" || reason === "UNKNOWN_ELECTION";
}

/** The shard has no writer then, so its nodes are asked one after the other until one accepts. */
async function acceptLoss({ links, gate, adminToken }: LedgerServiceParts, shardId: number, call: CallContext) {
  adminToken.demand(call);
  gate.demandOpen();
  const { logOrigin } = await shardOf(links, shardId).askInTurn(answerWithinMs(call.deadlineMs), (shard, deadlineMs) =>
    shard.acceptShardLoss({ requestedBy: adminIdentity }, { deadlineMs }),
  );
  return logOrigin;
}
