/** How long a call may take inside the router, so that its answer arrives before the caller stops waiting. */
import { answerMarginMsMin, deadlineDefaultMs, deadlineMsMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

/** Of the time left, the part that is kept for the answer's way back. */
const marginShare = 0.1;

/** `deadlineMs` is what the caller left on arrival. Throws DEADLINE_PASSED when that is not more than the margin. */
export function answerWithinMs(deadlineMs: number | undefined): number {
  const left = Math.min(deadlineMs ?? deadlineDefaultMs, deadlineMsMax);
  const margin = Math.max(answerMarginMsMin, left * marginShare);
  if (left <= margin) throw new RejectionError("DEADLINE_PASSED");
  return left - margin;
}
