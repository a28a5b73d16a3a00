/** What can go wrong with an audit, as failures of a command. */
import { UnknownElectionError } from "#auditor/audit.ts";
import { AuditStateError } from "#auditor/audit-state.ts";
import { StandbyError } from "#auditor/standby-session.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { UnreachableError, UsageError } from "./exit-code.ts";

export async function withAuditErrors(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof StandbyError) throw new UnreachableError(error.message);
    const isUsage =
      error instanceof AuditStateError || error instanceof UnknownElectionError || error instanceof LedgerFormatError;
    throw isUsage ? new UsageError(error.message) : error;
  }
}
