/** What a failure means to the person, or the script, that ran the command: lines on standard error, and an exit code. */
import { CommanderError } from "commander";
import { CallError, tlsProblemOf } from "#mesh/call-error.ts";
import { ConfigError } from "#mesh/config-reader.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { catalogueEntry, RejectionError } from "#proto/rejections.ts";
import type { ExitCode } from "./exit-code.ts";
import { exitCode, NotVerifiedError, RollStoppedError, UnreachableError, UsageError } from "./exit-code.ts";
import { plainText } from "./text-table.ts";

export type CommandFailure = {
  readonly code: ExitCode;
  /** For standard error. */
  readonly lines: readonly string[];
  /** For standard output with `--json`. */
  readonly error: { readonly reason: string; readonly message: string; readonly [detail: string]: unknown };
};

/** Undefined for what is no failure of a known kind: a fault of the program. */
export function commandFailure(cause: unknown): CommandFailure | undefined {
  if (cause instanceof RejectionError) return refusal(cause);
  if (cause instanceof UsageError || cause instanceof ConfigError)
    return plainFailure(exitCode.usage, "USAGE", cause.message);
  if (cause instanceof UnreachableError) return plainFailure(exitCode.unreachable, "UNREACHABLE", cause.message);
  if (cause instanceof RollStoppedError) return plainFailure(exitCode.refused, "ROLL_STOPPED", cause.message);
  if (cause instanceof NotVerifiedError || cause instanceof LedgerFormatError) return doubt(cause);
  if (cause instanceof CallError) return plainFailure(exitCode.unreachable, cause.code, callAdvice(cause));
  // Commander has written its own message by then, except under --json.
  if (cause instanceof CommanderError) {
    return { ...plainFailure(exitCode.usage, "USAGE", cause.message), lines: [] };
  }
  return undefined;
}

function refusal(rejection: RejectionError): CommandFailure {
  const { reason, retryable, retryAfterMs } = rejection;
  const { advice } = catalogueEntry(reason);
  const message = plainText(rejection.message);
  return {
    code: exitCode.refused,
    lines: [`urna: ${reason}: ${message}`, `  ${advice}`],
    error: { reason, message, advice, retryable, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) },
  };
}

/** What was read may quote from a file or a server that lies. */
function doubt(cause: Error): CommandFailure {
  const message = plainText(cause.message);
  const failure = plainFailure(exitCode.refused, "NOT_VERIFIED", message);
  return { ...failure, lines: [`urna: NOT VERIFIED: ${message}`] };
}

function plainFailure(code: ExitCode, reason: string, message: string): CommandFailure {
  return { code, lines: [`urna: ${message}`], error: { reason, message } };
}

/** A call that ended without a word of ours: the network, or somebody else's server. */
function callAdvice(error: CallError): string {
  const { code } = error;
  const detail = plainText(error.message);
  const tls = tlsProblemOf(error);
  switch (code) {
    case "UNAVAILABLE":
      if (tls !== undefined) return `no connection to the router: ${plainText(tls)}`;
      return `the connection to the router was lost (${detail}): look at "urna status", then run the command again`;
    case "DEADLINE_EXCEEDED":
      return `the router did not answer in time (${detail}): look at "urna status", then run the command again`;
    case "UNIMPLEMENTED":
      return `the server does not offer this call (${detail}): check that --server names a router of Urna`;
    default:
      return `the call failed with ${code} (${detail}): check that --server names a router of Urna`;
  }
}
