/** Who waits for votes: a unary call, a batch, a stream. Each vote of a call is settled once, and each call answered once. */
import { EncodedMessage } from "#mesh/service-call.ts";
import type { TraceSpan } from "#mesh/tracing.ts";
import type { CastVoteResponse } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { RejectionError } from "#proto/rejections.ts";
import { BatchAnswer } from "./batch-answer.ts";
import type { Casting } from "./casting.ts";
import type { RouterMetrics } from "./metrics.ts";
import { receiptMessage } from "./outcome-messages.ts";
import type { ReceivedVotes } from "./received-votes.ts";
import type { ShardLog, VoteOwner } from "./vote-table.ts";

export type VoteCallParts = { readonly casting: Casting; readonly metrics: RouterMetrics };

/** The one vote of `votes`; a rejection fails the call. */
export function castOne(
  parts: VoteCallParts,
  votes: ReceivedVotes,
  withinMs: number,
  trace?: TraceSpan,
): Promise<CastVoteResponse> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let settled = false;
    const settle = () => {
      settled = true;
      clearTimeout(timer);
    };
    const owner: VoteOwner = {
      traceFrame: () => trace,
      accepted(_index, electionId, log, leafIndex, repeat) {
        settle();
        parts.metrics.votesAnswered(repeat ? "repeat" : "recorded");
        const receipt = receiptMessage(electionId, log, leafIndex);
        resolve({ $typeName: "urna.v1.CastVoteResponse", receipt, repeat });
      },
      refused(_index, rejection) {
        settle();
        parts.metrics.votesAnswered(rejection.reason);
        reject(rejection);
      },
    };
    const row = parts.casting.cast(owner, 0, votes, 0, performance.now() + withinMs);
    if (!settled) timer = setTimeout(() => parts.casting.expire([row]), withinMs);
  });
}

/** Votes that are answered together, when the last is settled or their time is over: one counter and one timer for all. */
export class BatchCall implements VoteOwner {
  readonly answersTogether = true;
  readonly #trace: TraceSpan | undefined;
  readonly #parts: VoteCallParts;
  readonly #outcomes: BatchAnswer;
  /** The vote's rows in the table: a row is this call's to name while its vote is unsettled. */
  readonly #rows: Int32Array;
  readonly #answer = Promise.withResolvers<EncodedMessage>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: VoteCallParts, votes: number, trace?: TraceSpan) {
    this.#trace = trace;
    this.#parts = parts;
    this.#outcomes = new BatchAnswer(votes);
    this.#rows = new Int32Array(votes);
  }

  /** Resolves to a CastVoteBatchResponse. */
  cast(votes: ReceivedVotes, withinMs: number): Promise<EncodedMessage> {
    const { casting } = this.#parts;
    const answerAtMs = performance.now() + withinMs;
    for (let i = 0; i < this.#rows.length; i++) this.#rows[i] = casting.cast(this, i, votes, i, answerAtMs);
    if (!this.#outcomes.isComplete) this.#timer = setTimeout(() => casting.expire(this.#unsettled()), withinMs);
    return this.#answer.promise;
  }

  accepted(index: number, electionId: string, log: ShardLog, leafIndex: number, repeat: boolean): void {
    this.#outcomes.accepted(index, electionId, log, leafIndex, repeat);
    if (this.#outcomes.isComplete) this.#end();
  }

  refused(index: number, rejection: RejectionError): void {
    this.#outcomes.refused(index, rejection);
    if (this.#outcomes.isComplete) this.#end();
  }

  traceFrame(): TraceSpan | undefined {
    return this.#trace;
  }

  #unsettled(): Int32Array {
    return this.#rows.filter((_row, index) => !this.#outcomes.isSettled(index));
  }

  #end(): void {
    clearTimeout(this.#timer);
    for (const [outcome, votes] of this.#outcomes.counts()) this.#parts.metrics.votesAnswered(outcome, votes);
    this.#answer.resolve(new EncodedMessage(this.#outcomes.encode()));
  }
}
