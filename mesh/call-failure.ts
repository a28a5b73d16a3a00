/** What a caller is told when an implementation throws: its rejection, or INTERNAL without the cause. */
import type { Logger } from "#mesh/log.ts";
import { answerMarginMsMin } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

/** Unknown causes go to the log, never onto the wire. `gone`: nobody waits for the answer, so its failure is no news. */
export function rejectionOf(cause: unknown, rpc: string, log: Logger | undefined, gone: boolean): RejectionError {
  if (cause instanceof RejectionError) return cause;
  if (!gone) log?.error({ err: cause, rpc }, "a call failed for an unknown cause");
  return new RejectionError("INTERNAL");
}

/**
 * Refuses a call that cannot be answered before its deadline, before anything is done for it: routers answer a margin
 * earlier than the caller stops waiting.
 */
export function refuseLateCall(deadlineMs: number | undefined): void {
  if (deadlineMs !== undefined && deadlineMs <= answerMarginMsMin) throw new RejectionError("DEADLINE_PASSED");
}
