/**
 * The shard nodes that the tally talks to. Any node may be the shard's writer at any time, so the writer is found by
 * asking all of them; one that is slow or gone does not keep the others from answering.
 */
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";

export type ShardClient = Client<typeof ShardService>;

export type WriterSearch =
  | { readonly kind: "found"; readonly node: string; readonly client: ShardClient; readonly durableBatch: bigint }
  /**
   * Somebody says to be the writer, and holds less than is known to be durable: for a moment, a deposed writer that has
   * not noticed yet; for long, a shard that lost batches.
   */
  | { readonly kind: "behind"; readonly node: string; readonly client: ShardClient; readonly durableBatch: bigint }
  | { readonly kind: "none" };

/** How long a node may take to say whether it is the writer. */
const statusDeadlineMs = 1_000;

class BehindError extends Error {
  readonly node: string;
  readonly client: ShardClient;
  readonly durableBatch: bigint;

  constructor(node: string, client: ShardClient, durableBatch: bigint) {
    super(`${node} is behind, at batch ${durableBatch}`);
    this.node = node;
    this.client = client;
    this.durableBatch = durableBatch;
  }
}

export class ShardPeers {
  readonly #nodesOf: (shardId: number) => readonly string[];
  readonly #identity: Identity | undefined;
  readonly #clients = new Map<string, ShardClient>();

  /** `nodesOf` gives a shard's present nodes, as "host:port". */
  constructor(nodesOf: (shardId: number) => readonly string[], identity: Identity | undefined) {
    this.#nodesOf = nodesOf;
    this.#identity = identity;
  }

  /** The first node to answer as the shard's writer, with at least the batch that is known to be durable. */
  async findWriter(shardId: number, knownBatch: bigint, signal: AbortSignal): Promise<WriterSearch> {
    try {
      return await Promise.any(this.#nodesOf(shardId).map((node) => this.#askNode(shardId, node, knownBatch, signal)));
    } catch (error) {
      const refusals: unknown[] = error instanceof AggregateError ? error.errors : [];
      const behind = refusals.find((refusal) => refusal instanceof BehindError);
      if (behind === undefined) return { kind: "none" };
      const { node, client, durableBatch } = behind;
      return { kind: "behind", node, client, durableBatch };
    }
  }

  /** Closes the connections to all nodes but these. */
  keepOnly(nodes: ReadonlySet<string>): void {
    for (const [node, client] of this.#clients) {
      if (nodes.has(node)) continue;
      this.#clients.delete(node);
      client.close();
    }
  }

  close(): void {
    this.keepOnly(new Set());
  }

  async #askNode(shardId: number, node: string, knownBatch: bigint, signal: AbortSignal): Promise<WriterSearch> {
    const client = this.#client(node);
    const { status } = await client.getShardStatus({}, { deadlineMs: statusDeadlineMs, signal });
    if (status?.role !== ShardRole.WRITER) throw new Error(`${node} is not a writer`);
    if (status.shardId !== shardId) throw new Error(`${node} is of shard ${status.shardId}, not of ${shardId}`);
    if (status.batch < knownBatch) throw new BehindError(node, client, status.batch);
    return { kind: "found", node, client, durableBatch: status.batch };
  }

  #client(node: string): ShardClient {
    let client = this.#clients.get(node);
    if (client === undefined) {
      client = createClient(ShardService, node, this.#identity);
      this.#clients.set(node, client);
    }
    return client;
  }
}
