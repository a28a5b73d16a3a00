/**
 * A unary call that is made again when that helps: what the catalogue calls retryable, after the wait that the server asks for;
 * a connection that broke, when the call may be repeated. Never beyond the deadline, nor beyond the client's budget.
 */
import { setTimeout as delay } from "node:timers/promises";
import { CallError } from "#mesh/call-error.ts";
import type { RetryBudget } from "#mesh/retry-budget.ts";
import { RejectionError } from "#proto/rejections.ts";

export type RetriedCall<T> = {
  /** `leftMs`: what the caller has left; undefined without a deadline. */
  readonly attempt: (leftMs: number | undefined) => Promise<T>;
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
  /** Whether it may be made again although the first one may have been carried out. */
  readonly repeatable: boolean;
  readonly budget: RetryBudget;
  /** In [0, 1). */
  readonly random?: () => number;
};

const triesMax = 5;
const pauseMsMin = 50;
const pauseMsMax = 2_000;
/** With less time left than this a further try is of no use. */
const tryMsMin = 50;

/** Throws what the last try failed with. */
export async function retryingCall<T>(call: RetriedCall<T>): Promise<T> {
  const { attempt, deadlineMs, signal, budget, random = Math.random } = call;
  const endsAtMs = deadlineMs === undefined ? undefined : performance.now() + deadlineMs;
  const leftMs = () => (endsAtMs === undefined ? undefined : endsAtMs - performance.now());
  budget.called();
  for (let tries = 1; ; tries++) {
    try {
      return await attempt(leftMs());
    } catch (cause) {
      const pauseMs = pauseAfter(cause, call.repeatable, tries, random());
      const left = leftMs();
      const isInTime = pauseMs !== undefined && (left === undefined || left - pauseMs >= tryMsMin);
      if (!isInTime || tries >= triesMax || signal?.aborted === true || !budget.takeRetry()) throw cause;
      await delay(pauseMs, undefined, signal && { signal }).catch(() => {
        throw cause;
      });
    }
  }
}

/** Milliseconds; undefined when another try is of no use, or might do what was done already. */
function pauseAfter(cause: unknown, repeatable: boolean, tries: number, chance: number): number | undefined {
  const ownPauseMs = Math.min(pauseMsMax, pauseMsMin * 2 ** tries) * (0.5 + chance / 2);
  if (cause instanceof CallError) return cause.code === "UNAVAILABLE" && repeatable ? ownPauseMs : undefined;
  if (!(cause instanceof RejectionError) || !cause.retryable) return undefined;
  // The time is over: only its caller can give it more.
  if (cause.reason === "DEADLINE_PASSED") return undefined;
  if (cause.reason === "OUTCOME_UNKNOWN" && !repeatable) return undefined;
  return cause.retryAfterMs === undefined ? ownPauseMs : cause.retryAfterMs * (1 + chance / 4);
}
