/** Asks a shard to count its rows of votes, at whichever node is its writer, through takeovers in between. */
import { CallError } from "#mesh/call-error.ts";
import type { ElectionCounts } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { Backoff } from "./backoff.ts";
import type { ShardClient, ShardPeers } from "./shard-peers.ts";
import { ShardStream } from "./shard-stream.ts";

export type RowCountRequest = {
  readonly shardId: number;
  readonly electionId: string;
  /** The last batch whose rows are counted. */
  readonly throughBatch: bigint;
  readonly signal: AbortSignal;
  /** Told how many rows were counted so far; it falls back when the count begins again elsewhere. */
  onProgress(rows: bigint): void;
};

/** The sums of a shard's rows; undefined when the shard does not know the election. */
export type RowCounter = (request: RowCountRequest) => Promise<ElectionCounts | undefined>;

export type RowCounterTimes = {
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** How long a count may take to get further than it ever was: through takeovers, and at one writer. */
  readonly patienceMs: number;
};

/** Throws SHARD_UNAVAILABLE when no writer of the shard gets on with it. */
export function rowCounter(peers: ShardPeers, times: RowCounterTimes): RowCounter {
  return async (request) => {
    const { shardId, throughBatch, signal } = request;
    const backoff = new Backoff(times.backoffMsMin, times.backoffMsMax);
    let furthest = 0n;
    let givesUpAtMs = performance.now() + times.patienceMs;
    const onProgress = (rows: bigint) => {
      if (rows > furthest) givesUpAtMs = performance.now() + times.patienceMs;
      furthest = rows > furthest ? rows : furthest;
      request.onProgress(rows);
    };
    while (!signal.aborted && performance.now() < givesUpAtMs) {
      const writer = await peers.findWriter(shardId, throughBatch, signal);
      try {
        if (writer.kind === "found") return await countAt(writer.client, { ...request, onProgress }, times.patienceMs);
      } catch (error) {
        if (!mayPass(error)) throw error;
      }
      await backoff.wait(signal);
    }
    throw new RejectionError("SHARD_UNAVAILABLE", `the writer of shard ${shardId} does not answer the recount`);
  };
}

async function countAt(client: ShardClient, request: RowCountRequest, limitMs: number) {
  const { electionId, throughBatch, signal } = request;
  const stream = new ShardStream(signal, (options) => client.recountVotes({ electionId, throughBatch }, options));
  try {
    for (;;) {
      const message = await stream.receive(limitMs);
      if (message?.part.case === "counts") return message.part.value;
      if (message?.part.case === "progress") request.onProgress(message.part.value);
      if (message === undefined) throw new CallError("UNAVAILABLE", "the recount ended without its result");
    }
  } catch (error) {
    if (error instanceof RejectionError && error.reason === "UNKNOWN_ELECTION") return undefined;
    throw error;
  } finally {
    stream.close();
  }
}

/** Whether another try, perhaps at another writer, can do better. */
function mayPass(error: unknown): boolean {
  return error instanceof CallError || (error instanceof RejectionError && error.reason === "SHARD_UNAVAILABLE");
}
