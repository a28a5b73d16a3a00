/** `urna receipt` */
import type { Command } from "commander";
import { GetReceiptResponseSchema, VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { printMessage } from "./json-output.ts";
import { receiptLines } from "./receipt-text.ts";
import { callDeadlineMs, withClient } from "./server-connection.ts";
import type { VoterArguments } from "./vote-arguments.ts";
import { idempotencyKeyOf, voterOf } from "./vote-arguments.ts";

type ReceiptOptions = CommonOptions & VoterArguments & { readonly election: string; readonly key: string };

export function addReceiptCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("receipt")
    .summary("get the receipt of a vote again")
    .description("Gets the receipt of a vote that was recorded, for whoever has its idempotency key.")
    .requiredOption("--election <id>", "the election")
    .option("--voter <id>", "who voted")
    .option("--ballot <id>", "which ballot, in an election that is keyed by ballots")
    .requiredOption("--key <hex>", "the idempotency key that the vote was cast with")
    .action((options: ReceiptOptions) => getReceipt(options, context));
  withExamples(
    withCommonOptions(command),
    "urna receipt --election town --voter v-17 --key 00112233445566778899aabbccddeeff",
  );
}

async function getReceipt(options: ReceiptOptions, context: CommandContext): Promise<void> {
  const idempotencyKey = idempotencyKeyOf(options.key);
  const request = { electionId: options.election, voter: voterOf(options), idempotencyKey };
  const response = await withClient(VoteService, options, context, (client) =>
    client.getReceipt(request, { deadlineMs: callDeadlineMs, signal: context.signal }),
  );
  if (options.json === true) printMessage(context.terminal, GetReceiptResponseSchema, response);
  else for (const line of receiptLines(response.receipt)) context.terminal.print(line);
}
