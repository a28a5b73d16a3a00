/** The nodes of one shard: which of them is the writer, and unary calls to it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { backoffMs } from "./backoff.ts";
import { peerRefusal } from "./peer-refusal.ts";

export type ShardClient = Client<typeof ShardService>;

export type ShardWriter = {
  readonly node: string;
  readonly client: ShardClient;
  readonly writerEpoch: bigint;
  /** Its durable mark when it was asked. */
  readonly batch: bigint;
};

const statusLimitMs = 500;
/** How long the other nodes are waited for once one has said to be the writer: it may have been deposed unknowingly. */
const rivalWaitMs = 100;
/** One try of a unary call: a frozen writer must not use up the whole deadline. */
const tryLimitMs = 3_000;
/** Within this time a connection is back to a node that was started again (see mesh/grpc-channel.ts). */
const comeBackMs = 2_000;
/** With less time left than this a further try is of no use. */
const tryMsMin = 50;

export class ShardNodes {
  readonly shardId: number;
  readonly #identity: Identity | undefined;
  readonly #clients = new Map<string, ShardClient>();
  #nodes: readonly string[];
  #writer: ShardWriter | undefined;
  #refusal: string | undefined;

  constructor(shardId: number, nodes: readonly string[], identity: Identity | undefined) {
    this.shardId = shardId;
    this.#identity = identity;
    this.#nodes = nodes;
  }

  get nodes(): readonly string[] {
    return this.#nodes;
  }

  /**
   * Why the shard's nodes take no calls from this router, or this router none of theirs: an intention, a certificate.
   * Undefined once one of them has answered.
   */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** The directory has a new list; connections to nodes that are not on it are closed. */
  setNodes(nodes: readonly string[]): void {
    this.#nodes = nodes;
    for (const [node, client] of this.#clients) {
      if (nodes.includes(node)) continue;
      this.#clients.delete(node);
      client.close();
    }
    if (this.#writer !== undefined && !nodes.includes(this.#writer.node)) this.#writer = undefined;
  }

  /** Undefined when a node cannot be reached in time, or will not say. */
  async status(node: string, limitMs = statusLimitMs): Promise<ShardNodeStatus | undefined> {
    try {
      const { status } = await this.#client(node).getShardStatus({}, { deadlineMs: limitMs });
      this.#refusal = undefined;
      return status;
    } catch (cause) {
      const refusal = peerRefusal(cause);
      if (refusal !== undefined) this.#refusal = `shard ${this.shardId} cannot be reached: ${refusal}`;
      return undefined;
    }
  }

  /** Asks all nodes; of several that say to be the writer, the one of the highest epoch is. */
  async findWriter(): Promise<ShardWriter | undefined> {
    this.#writer = await this.#findAmong(this.#nodes);
    return this.#writer;
  }

  /** Who writes instead of a writer that answers nothing, which is not waited for. */
  async findSuccessor(writer: ShardWriter): Promise<ShardWriter | undefined> {
    const best = await this.#findAmong(this.#nodes.filter((node) => node !== writer.node));
    if (best === undefined || best.writerEpoch <= writer.writerEpoch) return undefined;
    this.#writer = best;
    return best;
  }

  async #findAmong(nodes: readonly string[]): Promise<ShardWriter | undefined> {
    let best: ShardWriter | undefined;
    const found = Promise.withResolvers<void>();
    const asked = nodes.map(async (node) => {
      const writer = await this.#askNode(node);
      if (writer === undefined) return;
      if (best === undefined || writer.writerEpoch > best.writerEpoch) best = writer;
      found.resolve();
    });
    const all = Promise.all(asked);
    await Promise.race([all, found.promise]);
    if (best !== undefined) await Promise.race([all, delay(rivalWaitMs, undefined, { ref: false })]);
    return best;
  }

  /**
   * A call to the writer, tried again with whoever is the writer by then until the time is over. Only for calls that may be
   * made twice. Throws SHARD_UNAVAILABLE, or what the writer refuses with.
   */
  async ask<T>(limitMs: number, call: (client: ShardClient, deadlineMs: number) => Promise<T>): Promise<T> {
    const endsAt = performance.now() + limitMs;
    for (let tries = 0; ; tries++) {
      const writer = this.#writer ?? (await this.findWriter());
      const left = endsAt - performance.now();
      if (left < tryMsMin) break;
      if (writer !== undefined) {
        try {
          return await call(writer.client, Math.min(left, tryLimitMs));
        } catch (cause) {
          if (cause instanceof RejectionError && !goesAway(cause)) throw cause;
          if (this.#writer === writer) this.#writer = undefined;
        }
      }
      const pause = backoffMs(tries);
      if (endsAt - performance.now() - pause < tryMsMin) break;
      await delay(pause);
    }
    const because = this.#refusal ?? `shard ${this.shardId} has no writer that is ready`;
    throw new RejectionError("SHARD_UNAVAILABLE", because);
  }

  /**
   * A call to one node after the other, whichever role it has, until one does it: for what a shard without a writer is asked.
   * Nodes that cannot be reached are asked again for a moment: they may have just been started. Throws what a node refused
   * with, else SHARD_UNAVAILABLE.
   */
  async askInTurn<T>(limitMs: number, call: (client: ShardClient, deadlineMs: number) => Promise<T>): Promise<T> {
    const endsAt = performance.now() + limitMs;
    const againUntil = performance.now() + comeBackMs;
    let refusal: RejectionError | undefined;
    for (let left = this.#nodes; left.length > 0; ) {
      const away: string[] = [];
      for (const [asked, node] of left.entries()) {
        // A frozen node must leave time to those after it.
        const share = (endsAt - performance.now()) / (left.length - asked);
        if (share < tryMsMin) break;
        try {
          return await call(this.#client(node), share);
        } catch (cause) {
          if (!(cause instanceof RejectionError)) away.push(node);
          // What does not go away says more than that a node is away.
          else if (refusal === undefined || goesAway(refusal)) refusal = cause;
        }
      }
      if (performance.now() > againUntil) break;
      left = away;
      if (left.length > 0) await delay(backoffMs(left.length));
    }
    throw refusal ?? new RejectionError("SHARD_UNAVAILABLE", `no node of shard ${this.shardId} can be reached`);
  }

  close(): void {
    this.setNodes([]);
  }

  async #askNode(node: string): Promise<ShardWriter | undefined> {
    const status = await this.status(node);
    if (status?.role !== ShardRole.WRITER || status.shardId !== this.shardId) return undefined;
    return { node, client: this.#client(node), writerEpoch: status.writerEpoch, batch: status.batch };
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

/** Refusals that another try, or another writer, may not give. */
function goesAway({ reason }: RejectionError): boolean {
  return (
    reason === "PERMISSION_DENIED" ||
    reason === "SHARD_UNAVAILABLE" ||
    reason === "OUTCOME_UNKNOWN" ||
    reason === "DEADLINE_PASSED"
  );
}
