/**
 * Who waits for votes: a unary call, a batch, a stream. Each vote of a call is settled once, and each call answered once.
 * Messages are literals: `create` copies field by field, and that shows at a hundred thousand votes a second.
 */
import { rejectionMessage } from "#mesh/rejection-status.ts";
import type { Outcome, Receipt, Rejection, Vote } from "#proto/generated/urna/v1/vote_pb.js";
import type {
  CastVoteBatchResponse,
  CastVoteResponse,
  CastVotesResponse,
} from "#proto/generated/urna/v1/vote_service_pb.js";
import type { RejectionError } from "#proto/rejections.ts";
import type { Casting } from "./casting.ts";
import type { RouterMetrics } from "./metrics.ts";
import type { PendingVote, VoteOwner } from "./pending-vote.ts";

export type VoteCallParts = { readonly casting: Casting; readonly metrics: RouterMetrics };

/** One vote; a rejection fails the call. */
export function castOne(parts: VoteCallParts, vote: Vote, withinMs: number): Promise<CastVoteResponse> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const owner: VoteOwner = {
      accepted(_index, receipt, repeat) {
        clearTimeout(timer);
        parts.metrics.voteAnswered(repeat ? "repeat" : "recorded");
        resolve({ $typeName: "urna.v1.CastVoteResponse", receipt, repeat });
      },
      refused(_index, rejection) {
        clearTimeout(timer);
        parts.metrics.voteAnswered(rejection.reason);
        reject(rejection);
      },
    };
    const pending = parts.casting.cast(owner, 0, vote, performance.now() + withinMs);
    if (pending !== undefined && !pending.settled) {
      timer = setTimeout(() => parts.casting.expire([pending]), withinMs);
    }
  });
}

/** Votes that are answered together, when the last is settled or their time is over: one counter and one timer for all. */
export class BatchCall implements VoteOwner {
  readonly #parts: VoteCallParts;
  readonly #outcomes: Outcome[];
  readonly #answer = Promise.withResolvers<CastVoteBatchResponse>();
  #unsettled: number;

  constructor(parts: VoteCallParts, votes: number) {
    this.#parts = parts;
    this.#outcomes = new Array<Outcome>(votes);
    this.#unsettled = votes;
  }

  cast(votes: readonly Vote[], withinMs: number): Promise<CastVoteBatchResponse> {
    const { casting } = this.#parts;
    const answerAtMs = performance.now() + withinMs;
    const pending = votes.map((vote, index) => casting.cast(this, index, vote, answerAtMs));
    if (this.#unsettled === 0) return this.#answer.promise;
    const timer = setTimeout(() => casting.expire(pending), withinMs);
    return this.#answer.promise.finally(() => clearTimeout(timer));
  }

  accepted(index: number, receipt: Receipt, repeat: boolean): void {
    this.#parts.metrics.voteAnswered(repeat ? "repeat" : "recorded");
    this.#settle(index, receiptOutcome(receipt, repeat));
  }

  refused(index: number, rejection: RejectionError): void {
    this.#parts.metrics.voteAnswered(rejection.reason);
    this.#settle(index, rejectionOutcome(rejection));
  }

  #settle(index: number, outcome: Outcome): void {
    if (this.#outcomes[index] !== undefined) throw new Error("a vote was settled twice (I4)");
    this.#outcomes[index] = outcome;
    this.#unsettled -= 1;
    if (this.#unsettled > 0) return;
    this.#answer.resolve({ $typeName: "urna.v1.CastVoteBatchResponse", outcomes: this.#outcomes });
  }
}

type StreamVote = { readonly sequence: bigint; vote: PendingVote | undefined };

/** Votes of one stream, each answered by its sequence as soon as it is settled. */
export class StreamCall implements VoteOwner {
  readonly #parts: VoteCallParts;
  readonly #votesMax: number;
  /** Unsettled votes by index, in the order of their arrival, which is that of their deadlines. */
  readonly #unsettled = new Map<number, StreamVote>();
  #answers: CastVotesResponse[] = [];
  #timer: NodeJS.Timeout | undefined;
  #nextIndex = 0;
  #ended = false;
  #failure: RejectionError | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  /** `votesMax`: votes that may be unsettled, or settled and not yet taken by the caller. */
  constructor(parts: VoteCallParts, votesMax: number) {
    this.#parts = parts;
    this.#votesMax = votesMax;
  }

  /** Waits until there is room for another vote: a caller that does not read its answers is not read either (I9). */
  async room(): Promise<void> {
    while (!this.#ended && this.#unsettled.size + this.#answers.length >= this.#votesMax) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  cast(sequence: bigint, vote: Vote, withinMs: number): void {
    const index = this.#nextIndex++;
    const entry: StreamVote = { sequence, vote: undefined };
    this.#unsettled.set(index, entry);
    entry.vote = this.#parts.casting.cast(this, index, vote, performance.now() + withinMs);
    if (this.#unsettled.has(index)) this.#timer ??= setTimeout(() => this.#expire(), withinMs);
  }

  /** A message that never becomes a vote. */
  refuse(sequence: bigint, rejection: RejectionError): void {
    this.#parts.metrics.voteAnswered(rejection.reason);
    this.#answer(sequence, rejectionOutcome(rejection));
  }

  /** No more votes will come, or be taken; the answers end with the last of those that did, or fail then. */
  end(failure?: RejectionError): void {
    this.#ended = true;
    this.#failure ??= failure;
    this.#wake();
  }

  async *answers(): AsyncGenerator<CastVotesResponse, undefined> {
    for (;;) {
      const answers = this.#answers;
      this.#answers = [];
      this.#wake();
      yield* answers;
      if (this.#answers.length > 0) continue;
      if (this.#ended && this.#unsettled.size === 0) {
        if (this.#failure !== undefined) throw this.#failure;
        return;
      }
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  accepted(index: number, receipt: Receipt, repeat: boolean): void {
    this.#parts.metrics.voteAnswered(repeat ? "repeat" : "recorded");
    this.#settle(index, receiptOutcome(receipt, repeat));
  }

  refused(index: number, rejection: RejectionError): void {
    this.#parts.metrics.voteAnswered(rejection.reason);
    this.#settle(index, rejectionOutcome(rejection));
  }

  #settle(index: number, outcome: Outcome): void {
    const entry = this.#unsettled.get(index);
    if (entry === undefined) throw new Error("a vote was settled twice (I4)");
    this.#unsettled.delete(index);
    this.#answer(entry.sequence, outcome);
  }

  #answer(sequence: bigint, outcome: Outcome): void {
    this.#answers.push({ $typeName: "urna.v1.CastVotesResponse", sequence, outcome });
    this.#wake();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    const over: PendingVote[] = [];
    for (const { vote } of this.#unsettled.values()) {
      if (vote === undefined) continue;
      if (vote.answerAtMs > now) {
        this.#timer = setTimeout(() => this.#expire(), Math.max(1, vote.answerAtMs - now));
        break;
      }
      over.push(vote);
    }
    if (over.length > 0) this.#parts.casting.expire(over);
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
}

function receiptOutcome(receipt: Receipt, repeat: boolean): Outcome {
  return { $typeName: "urna.v1.Outcome", result: { case: "receipt", value: receipt }, repeat };
}

/** A rejection that many votes share is turned into its message once. */
const messages = new WeakMap<RejectionError, Rejection>();

function rejectionOutcome(rejection: RejectionError): Outcome {
  let value = messages.get(rejection);
  if (value === undefined) {
    value = rejectionMessage(rejection);
    messages.set(rejection, value);
  }
  return { $typeName: "urna.v1.Outcome", result: { case: "rejection", value }, repeat: false };
}
