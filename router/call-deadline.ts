/** How long a call may take inside the router, so that its answer arrives before the caller stops waiting. */
import { answerMarginMs, deadlineDefaultMs, deadlineMsMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

/** `deadlineMs` is what the caller left on arrival. Throws DEADLINE_PASSED when that is not more than the margin. */
export function answerWithinMs(deadlineMs: number | undefined): number {
  const left = Math.min(deadlineMs ?? deadlineDefaultMs, deadlineMsMax);
  const margin = answerMarginMs(left);
  if (left <= margin) throw new RejectionError("DEADLINE_PASSED");
  return left - margin;
}
