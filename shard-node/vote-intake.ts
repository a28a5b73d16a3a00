/** The RecordVotes stream: frames in, answers out. Each frame is answered once, or the stream ends and it stays unknown. */
import { type CallContext, EncodedMessage } from "#mesh/service-call.ts";
import type { Tracer } from "#mesh/tracing.ts";
import type { RecordVotesRequest } from "#proto/generated/urna/v1/shard_service_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { nullifierBytes } from "#proto/limits.ts";
import { formatLogOrigin } from "#proto/log-origin.ts";
import { encodeRecordOutcomes, type RecordOutcomes } from "#proto/record-frame.ts";
import { RejectionError } from "#proto/rejections.ts";
import { traceFrame } from "./frame-trace.ts";
import type { ShardMetrics } from "./metrics.ts";
import type { SlotOwnership } from "./slot-ownership.ts";
import { leaveUnknown, WaitingFrame, type WaitingVote } from "./vote-frame.ts";
import type { Writer } from "./writer.ts";

/** What a node is to its votes. */
export type VoteTaker = {
  /** Throws RejectionError SHARD_UNAVAILABLE on a spare; the signal aborts when the writer is the writer no more. */
  requireWriter(): { readonly writer: TakingWriter; readonly ended: AbortSignal };
};

type TakingWriter = Pick<Writer, "head" | "ownership" | "offer" | "draining">;

export async function* recordVotes(
  node: VoteTaker,
  metrics: ShardMetrics,
  requests: AsyncIterable<RecordVotesRequest>,
  call: CallContext,
  tracer?: Tracer,
): AsyncGenerator<EncodedMessage> {
  const { writer, ended } = node.requireWriter();
  const answers = new AnswerQueue(metrics);
  const logOrigin = formatLogOrigin(writer.head);
  const deposed = () => answers.fail(new RejectionError("SHARD_UNAVAILABLE", "this node is the writer no more"));
  ended.addEventListener("abort", deposed, { once: true });
  const gone = () => answers.close();
  call.signal.addEventListener("abort", gone, { once: true });
  const reading = readFrames({ writer, logOrigin, answers, tracer }, requests);
  try {
    yield* answers.drain();
    await reading;
  } finally {
    ended.removeEventListener("abort", deposed);
    call.signal.removeEventListener("abort", gone);
  }
}

type ReadingParts = {
  readonly writer: TakingWriter;
  readonly logOrigin: string;
  readonly answers: AnswerQueue;
  readonly tracer: Tracer | undefined;
};

/** Reads until the router ends its half. Answers that are still owed keep the other half open. */
async function readFrames(
  { writer, logOrigin, answers, tracer }: ReadingParts,
  requests: AsyncIterable<RecordVotesRequest>,
): Promise<void> {
  try {
    for await (const request of requests) {
      answers.owe();
      const frame = new WaitingFrame(request, logOrigin, performance.now(), (outcomes) => answers.push(outcomes));
      frame.trace = traceFrame(tracer, request.traceparent);
      admit(writer, request.nullifiers, frame);
      if (!(await answers.room())) return;
    }
    answers.closeWhenPaid();
  } catch (error) {
    answers.fail(error instanceof RejectionError ? error : new RejectionError("SHARD_UNAVAILABLE"));
  }
}

/**
 * The shard asserts that a slot is its own (I6), and refuses before it collapses (I9). What a writer that ends does not take,
 * the router sends to the next one.
 */
function admit(writer: TakingWriter, nullifiers: Uint8Array, frame: WaitingFrame): void {
  const own = ownVotes(writer.ownership, nullifiers, frame);
  if (own.length === 0 || writer.offer(own)) return;
  if (writer.draining) leaveUnknown(own);
  else for (const vote of own) vote.settle({ outcome: RecordOutcome.OVERLOADED });
}

function ownVotes(ownership: SlotOwnership, nullifiers: Uint8Array, frame: WaitingFrame): readonly WaitingVote[] {
  if (ownership.ownsAll(nullifiers)) return frame.votes;
  const own: WaitingVote[] = [];
  for (const vote of frame.votes) {
    if (ownership.owns(nullifiers, vote.index * nullifierBytes)) own.push(vote);
    else vote.settle({ outcome: RecordOutcome.WRONG_SHARD });
  }
  return own;
}

/** Frames answered and not yet taken by the router, before its next frames are left unread (I9). */
const answersMax = 256;

/** Answers on their way to one router. Bounded: what is owed by the votes that may wait, what is paid by `room`. */
class AnswerQueue {
  readonly #answers: EncodedMessage[] = [];
  #roomy: PromiseWithResolvers<void> | undefined;
  #owed = 0;
  #closing = false;
  #closed = false;
  #failure: RejectionError | undefined;
  #wake: (() => void) | undefined;
  readonly #metrics: ShardMetrics;

  constructor(metrics: ShardMetrics) {
    this.#metrics = metrics;
  }

  owe(): void {
    this.#owed += 1;
  }

  push(answer: RecordOutcomes): void {
    this.#owed -= 1;
    this.#metrics.answered(answer.outcomes);
    this.#answers.push(new EncodedMessage(encodeRecordOutcomes(answer)));
    this.#wake?.();
  }

  closeWhenPaid(): void {
    this.#closing = true;
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
    this.#roomy?.resolve();
  }

  fail(failure: RejectionError): void {
    this.#failure ??= failure;
    this.#wake?.();
    this.#roomy?.resolve();
  }

  /** Waits until few answers wait, as a rule not at all: a router that takes none is read no further. False when all is over. */
  async room(): Promise<boolean> {
    if (this.#answers.length >= answersMax && !this.#over) {
      this.#roomy ??= Promise.withResolvers<void>();
      await this.#roomy.promise;
    }
    return !this.#over;
  }

  get #over(): boolean {
    return this.#closed || this.#failure !== undefined;
  }

  async *drain(): AsyncGenerator<EncodedMessage> {
    while (!this.#closed) {
      yield* this.#answers.splice(0);
      this.#roomy?.resolve();
      this.#roomy = undefined;
      if (this.#answers.length > 0) continue;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closing && this.#owed === 0) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
