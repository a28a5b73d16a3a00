/** Prints docs/rejections.md: node proto/rejections-page.ts > docs/rejections.md */

import type { RejectionReason } from "#proto/rejections.ts";
import { catalogue, catalogueEntry, grpcCode, rejectionDomain } from "#proto/rejections.ts";

const introduction = `# Rejections

Every refusal bears one of these ids; the list is closed. This page is made from \`proto/rejections.ts\` by
\`node proto/rejections-page.ts\`.

- In a unary call a rejection is a gRPC error with \`google.rpc.ErrorInfo\` (\`reason\` = the id, \`domain\` =
  \`${rejectionDomain}\`) and, where waiting helps, \`google.rpc.RetryInfo\`. Over Connect the same details are in the error's
  \`details\`.
- In \`CastVoteBatch\` and \`CastVotes\` it is the \`Rejection\` of the vote's outcome; the other votes are not touched.
- A rejection other than \`ALREADY_VOTED\` and \`OUTCOME_UNKNOWN\` says exactly this: *this call stored nothing*.
- A bare \`DEADLINE_EXCEEDED\`, \`CANCELLED\` or \`UNAVAILABLE\` without details comes from the network: treat it as
  \`OUTCOME_UNKNOWN\`.
- *Retry* says whether the same request can succeed later, and after how many milliseconds at the earliest.
`;

/** The whole page. */
export function rejectionsPage(): string {
  const reasons = Object.keys(catalogue) as RejectionReason[];
  const rows = reasons.map((reason) => {
    const { code, retryable, retryAfterMs, message, advice } = catalogueEntry(reason);
    const retry = retryable ? (retryAfterMs === undefined ? "yes" : `yes, ${retryAfterMs} ms`) : "no";
    return `| \`${reason}\` | \`${code}\` (${grpcCode[code]}) | ${retry} | ${message} | ${advice} |`;
  });
  const head = "| id | gRPC code | retry | what happened | what to do |\n|---|---|---|---|---|";
  return `${introduction}\n${head}\n${rows.join("\n")}\n`;
}

if (import.meta.main) process.stdout.write(rejectionsPage());
