/** VoteService: casting votes one by one, in batches and in streams, and finding a vote's receipt again. */
import { create } from "@bufbuild/protobuf";
import type { CallContext, EncodedMethods, ServiceImplementation } from "#mesh/service-call.ts";
import { ReceiptSchema } from "#proto/generated/urna/v1/vote_pb.js";
import type {
  CastVotesRequest,
  CastVotesResponse,
  GetReceiptRequest,
  VoteService,
} from "#proto/generated/urna/v1/vote_service_pb.js";
import {
  deadlineDefaultMs,
  idempotencyKeyBytesMax,
  idempotencyKeyBytesMin,
  keyHashBytes,
  nullifierBytes,
} from "#proto/limits.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";
import { RejectionError } from "#proto/rejections.ts";
import { checkVoterId } from "./ballot-form.ts";
import { BatchRequests } from "./batch-request.ts";
import { answerWithinMs } from "./call-deadline.ts";
import type { ElectionCache } from "./election-cache.ts";
import type { Gate } from "./gate.ts";
import { routerStops } from "./gate.ts";
import { identityBytes } from "./nullifier.ts";
import type { ReceivedVotes, VoteText } from "./received-votes.ts";
import { VoteScratch } from "./received-votes.ts";
import type { ShardLinks } from "./shard-links.ts";
import { StreamCall } from "./stream-call.ts";
import { BatchCall, castOne, type VoteCallParts } from "./vote-calls.ts";
import { shardOfLog } from "./vote-frame.ts";

export type VoteServiceParts = VoteCallParts & {
  readonly cache: ElectionCache;
  readonly links: ShardLinks;
  /** Votes of one stream that may be unsettled, or settled and not yet taken. */
  readonly streamVotesMax: number;
  readonly gate: Gate;
  /** How long a stream may last. */
  readonly streamAgeMs: number;
};

export function voteService(parts: VoteServiceParts) {
  const { metrics, gate } = parts;
  return {
    async castVote({ vote }, call) {
      gate.demandOpen();
      if (vote === undefined) throw new RejectionError("INVALID_REQUEST", "vote is missing");
      const answered = metrics.callStarted("CastVote");
      return await castOne(parts, single(vote), answerWithinMs(call.deadlineMs), call.trace).finally(answered);
    },
    castVotes: (requests, call) => castVotes(parts, requests, call),
    async getReceipt(request, call) {
      return { receipt: await findReceipt(parts, request, call) };
    },
  } satisfies Omit<ServiceImplementation<typeof VoteService>, keyof ReturnType<typeof encodedVoteService>>;
}

/** The calls that read and write bytes. */
export function encodedVoteService(parts: VoteServiceParts) {
  const { metrics, gate } = parts;
  return {
    async castVoteBatch(request, call) {
      gate.demandOpen();
      parts.casting.demandRoom();
      const votes = batchRequests.read(request);
      const withinMs = answerWithinMs(call.deadlineMs);
      const answered = metrics.callStarted("CastVoteBatch");
      return await new BatchCall(parts, votes.length, call.trace).cast(votes, withinMs).finally(answered);
    },
  } satisfies EncodedMethods<typeof VoteService>;
}

const oneVote = new VoteScratch(1);
const batchRequests = new BatchRequests();

function single(vote: VoteText): ReceivedVotes {
  const { votes } = oneVote;
  votes.add(vote);
  return votes;
}

async function* castVotes(
  parts: VoteServiceParts,
  requests: AsyncIterable<CastVotesRequest>,
  call: CallContext,
): AsyncGenerator<CastVotesResponse> {
  const stream = new StreamCall(parts, parts.streamVotesMax, call.trace);
  const endsAtMs = call.deadlineMs === undefined ? Infinity : performance.now() + answerWithinMs(call.deadlineMs);
  const reading = readVotes(parts, stream, requests, endsAtMs);
  // Heard from the start: garbage fails the reading while votes that came before it are still unsettled, and a rejection
  // that nobody listens to ends the process.
  reading.catch(() => {});
  const stopListening = parts.gate.onLeave(() => stream.end(routerStops()));
  const tooOld = setTimeout(() => stream.end(streamIsOld()), parts.streamAgeMs).unref();
  try {
    yield* stream.answers();
    await reading;
  } finally {
    stopListening();
    clearTimeout(tooOld);
    // The caller may have left: votes that it sent go their way all the same, wholly in or wholly out.
    stream.end();
  }
}

async function readVotes(
  { gate }: VoteServiceParts,
  stream: StreamCall,
  requests: AsyncIterable<CastVotesRequest>,
  endsAtMs: number,
): Promise<void> {
  try {
    for await (const { sequence, vote } of requests) {
      try {
        gate.demandStaying();
        if (stream.ended) throw streamIsOld();
        if (vote === undefined) throw new RejectionError("INVALID_REQUEST", "vote is missing");
        stream.cast(sequence, single(vote), Math.min(answerWithinMs(deadlineDefaultMs), endsAtMs - performance.now()));
      } catch (cause) {
        if (!(cause instanceof RejectionError)) throw cause;
        stream.refuse(sequence, cause);
      }
      await stream.room();
    }
  } finally {
    stream.end();
  }
}

/** Its connection is going to be closed: the votes that came are settled, and what comes now goes on the next stream. */
function streamIsOld(): RejectionError {
  return new RejectionError("SHARD_UNAVAILABLE", "this stream has lasted long enough: open another one");
}

async function findReceipt({ cache, links }: VoteServiceParts, request: GetReceiptRequest, call: CallContext) {
  const withinMs = answerWithinMs(call.deadlineMs);
  const { electionId, idempotencyKey } = request;
  if (idempotencyKey.length < idempotencyKeyBytesMin || idempotencyKey.length > idempotencyKeyBytesMax) {
    const range = `${idempotencyKeyBytesMin} to ${idempotencyKeyBytesMax}`;
    throw new RejectionError("INVALID_REQUEST", `idempotency_key must have ${range} bytes, those of the vote`);
  }
  const endsAtMs = performance.now() + withinMs;
  const election = await inTime(cache.get(electionId), withinMs);
  const identity = Buffer.alloc(identityBytes);
  const voter = single({ ...request, regionId: "", selections: [] });
  checkVoterId(election.shape, voter, 0);
  election.nullifiers.writeIdentity(identity, 0, voter, 0);
  const nullifier = identity.subarray(0, nullifierBytes);
  const keyHash = identity.subarray(nullifierBytes, nullifierBytes + keyHashBytes);
  const { found, leafIndex, logOrigin } = await links
    .nodesFor(nullifier)
    .ask(endsAtMs - performance.now(), (shard, deadlineMs) =>
      shard.findVote({ electionId, nullifier, keyHash }, { deadlineMs, trace: call.trace }),
    );
  if (!found) throw new RejectionError("NOT_FOUND", "no vote was recorded with this idempotency key");
  const receiptId = formatReceiptId({ shardId: shardOfLog(logOrigin), leafIndex });
  return create(ReceiptSchema, { receiptId, electionId, logOrigin, leafIndex });
}

/** The election's home may take longer than the caller waits. */
async function inTime<T>(work: Promise<T>, withinMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new RejectionError("SHARD_UNAVAILABLE")), withinMs);
  return await Promise.race([work, late.promise]).finally(() => clearTimeout(timer));
}
