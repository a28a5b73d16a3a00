/** `urna shard accept-loss` */
import type { Command } from "commander";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { deadlineMsMax } from "#proto/limits.ts";
import type { AdminOptions, CommandContext } from "./command-context.ts";
import { withAdminOptions, withExamples } from "./command-context.ts";
import type { ExitCode } from "./exit-code.ts";
import { exitCode, UsageError } from "./exit-code.ts";
import { adminHeaders, withClient } from "./server-connection.ts";
import { plainText } from "./text-table.ts";

type AcceptLossOptions = AdminOptions & { readonly yes?: boolean };

const shardIdMax = 65_535;

export function addShardCommand(program: Command, context: CommandContext, endWith: (code: ExitCode) => void): void {
  const shard = program
    .command("shard")
    .summary("decide about a shard that refuses to serve")
    .description("What only an operator may decide about a shard.");
  const acceptLoss = shard
    .command("accept-loss <id>")
    .summary("go on with a shard that has lost votes")
    .description(
      "Lets a shard go on that refuses to serve because its log has lost its end, or was rewritten: acknowledged votes " +
        "are gone. It goes on with the votes that are left, as a new log. Receipts of the old log never verify against " +
        "it. This cannot be undone: look first for a server or a backup that still has the votes.",
    )
    .option("--yes", "do not ask")
    .action((id: string, options: AcceptLossOptions) => runAcceptLoss(id, options, context, endWith));
  withExamples(withAdminOptions(acceptLoss), "urna shard accept-loss 0", "urna shard accept-loss 0 --yes --json");
}

async function runAcceptLoss(
  id: string,
  options: AcceptLossOptions,
  context: CommandContext,
  endWith: (code: ExitCode) => void,
): Promise<void> {
  const { terminal, signal } = context;
  const shardId = shardIdOf(id);
  const headers = adminHeaders(options, context);
  if (options.yes !== true && !(await isConfirmed(shardId, context))) {
    terminal.note(`urna: nothing was changed: shard ${shardId} still waits for what it lacks`);
    endWith(exitCode.refused);
    return;
  }
  const { logOrigin } = await withClient(LedgerService, options, context, (client) =>
    client.acceptLoss({ shardId }, { deadlineMs: deadlineMsMax, headers, signal }),
  );
  if (options.json === true) {
    terminal.print(JSON.stringify({ shard_id: shardId, log_origin: logOrigin }));
    return;
  }
  terminal.print(`shard ${shardId} goes on as ${plainText(logOrigin)}`);
  terminal.print("Publish its new verifier key (urna keys). Voters whose votes are left can get new receipts.");
}

/** Throws UsageError where nobody can be asked. */
async function isConfirmed(shardId: number, { terminal, signal }: CommandContext): Promise<boolean> {
  const lines = [
    `To accept the loss of shard ${shardId} is to say that acknowledged votes are gone for good:`,
    "  - votes that were acknowledged and are not there any more are not counted;",
    "  - the shard goes on with what is left, as a new log with a new verifier key;",
    "  - receipts of the old log never verify against the new one: they show what is missing.",
    "This cannot be undone. Is there really no server or backup that still has the votes?",
  ];
  for (const line of lines) terminal.note(line);
  const answer = await terminal.ask(`Type the number of the shard to accept the loss: `, signal);
  if (answer === undefined) throw new UsageError("nobody can be asked here: give --yes to accept the loss");
  return answer.trim() === String(shardId);
}

function shardIdOf(text: string): number {
  const id = Number(text);
  if (/^\d+$/.test(text) && id <= shardIdMax) return id;
  throw new UsageError(`${text} is not the number of a shard: "urna status" lists them`);
}
