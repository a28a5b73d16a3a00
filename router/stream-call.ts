/** A stream of votes: who waits for them, and how their answers leave. */
import type { TraceSpan } from "#mesh/tracing.ts";
import type { Outcome } from "#proto/generated/urna/v1/vote_pb.js";
import type { CastVotesResponse } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { RejectionError } from "#proto/rejections.ts";
import { receiptMessage, receiptOutcome, rejectionOutcome } from "./outcome-messages.ts";
import type { ReceivedVotes } from "./received-votes.ts";
import type { VoteCallParts } from "./vote-calls.ts";
import type { ShardLog, VoteOwner } from "./vote-table.ts";
import { noRow } from "./vote-table.ts";

/** `row` is the stream's to name while the vote is unsettled. */
type StreamVote = { readonly sequence: bigint; readonly answerAtMs: number; row: number };

/** A stream may last for days: only its first frames are recorded. */
const tracedFramesMax = 16;

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
  /** Nobody takes answers any more. */
  #left = false;
  #failure: RejectionError | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  readonly #trace: TraceSpan | undefined;
  #tracedFrames = 0;

  /** `votesMax`: votes that may be unsettled, or settled and not yet taken by the caller. */
  constructor(parts: VoteCallParts, votesMax: number, trace?: TraceSpan) {
    this.#parts = parts;
    this.#trace = trace;
    this.#votesMax = votesMax;
  }

  traceFrame(): TraceSpan | undefined {
    if (this.#trace === undefined || this.#tracedFrames === tracedFramesMax) return undefined;
    this.#tracedFrames += 1;
    return this.#trace;
  }

  /** Waits until there is room for another vote: a caller that does not read its answers is not read either (I9). */
  async room(): Promise<void> {
    while (!this.#left && this.#unsettled.size + this.#answers.length >= this.#votesMax) {
      await new Promise<void>((resolve) => {
        this.#wakeWriter = resolve;
      });
    }
  }

  /** The one vote of `votes`. */
  cast(sequence: bigint, votes: ReceivedVotes, withinMs: number): void {
    const index = this.#nextIndex;
    this.#nextIndex = (index + 1) >>> 0;
    const answerAtMs = performance.now() + withinMs;
    const entry: StreamVote = { sequence, answerAtMs, row: noRow };
    this.#unsettled.set(index, entry);
    entry.row = this.#parts.casting.cast(this, index, votes, 0, answerAtMs);
    if (this.#unsettled.has(index)) this.#timer ??= setTimeout(() => this.#expire(), withinMs);
  }

  /** A message that never becomes a vote. */
  refuse(sequence: bigint, rejection: RejectionError): void {
    this.#parts.metrics.votesAnswered(rejection.reason);
    this.#answer(sequence, rejectionOutcome(rejection));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** No more votes will come, or be taken; the answers end with the last of those that did, or fail then. */
  end(failure?: RejectionError): void {
    this.#ended = true;
    this.#failure ??= failure;
    this.#wake();
  }

  async *answers(): AsyncGenerator<CastVotesResponse, undefined> {
    try {
      // Refusals of what comes after the end must not put the end off.
      for (let isOver = false; !isOver; ) {
        isOver = this.#ended && this.#unsettled.size === 0;
        const answers = this.#answers;
        this.#answers = [];
        this.#wake();
        yield* answers;
        if (isOver || this.#answers.length > 0 || (this.#ended && this.#unsettled.size === 0)) continue;
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      }
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      this.#left = true;
      this.#answers = [];
      this.#wake();
    }
  }

  accepted(index: number, electionId: string, log: ShardLog, leafIndex: number, repeat: boolean): void {
    this.#parts.metrics.votesAnswered(repeat ? "repeat" : "recorded");
    this.#settle(index, receiptOutcome(receiptMessage(electionId, log, leafIndex), repeat));
  }

  refused(index: number, rejection: RejectionError): void {
    this.#parts.metrics.votesAnswered(rejection.reason);
    this.#settle(index, rejectionOutcome(rejection));
  }

  #settle(index: number, outcome: Outcome): void {
    const entry = this.#unsettled.get(index);
    if (entry === undefined) throw new Error("a vote was settled twice (I4)");
    this.#unsettled.delete(index);
    this.#answer(entry.sequence, outcome);
  }

  #answer(sequence: bigint, outcome: Outcome): void {
    if (this.#left) return;
    this.#answers.push({ $typeName: "urna.v1.CastVotesResponse", sequence, outcome });
    this.#wake();
  }

  #expire(): void {
    this.#timer = undefined;
    const now = performance.now();
    const over: number[] = [];
    for (const { row, answerAtMs } of this.#unsettled.values()) {
      if (answerAtMs > now) {
        this.#timer = setTimeout(() => this.#expire(), Math.max(1, answerAtMs - now));
        break;
      }
      over.push(row);
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
