/** `urna receipt` */
import type { Command } from "commander";
import { GetReceiptResponseSchema, VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { messageJson } from "./json-output.ts";
import { receiptLines } from "./receipt-text.ts";
import { ProofFileOutput } from "./saved-proof.ts";
import { callLimits, withClient } from "./server-connection.ts";
import type { VoterArguments } from "./vote-arguments.ts";
import { idempotencyKeyOf, voterOf } from "./vote-arguments.ts";

type ReceiptOptions = CommonOptions &
  VoterArguments & {
    readonly election: string;
    readonly key: string;
    readonly out?: string;
    readonly verifierKey?: string;
  };

export function addReceiptCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("receipt")
    .summary("get the receipt of a vote again, and its proof")
    .description(
      "Gets the receipt of a vote that was recorded, for whoever has its idempotency key. With --out, the proof that the " +
        "vote is in the ledger, checked before it is written: `urna verify` checks it again, offline.",
    )
    .requiredOption("--election <id>", "the election")
    .option("--voter <id>", "who voted")
    .option("--ballot <id>", "which ballot, in an election that is keyed by ballots")
    .requiredOption("--key <hex>", "the idempotency key that the vote was cast with")
    .option("--out <file>", "where to write the proof")
    .option("--verifier-key <key>", "check it with this key (default: the one that the router names)")
    .action((options: ReceiptOptions) => getReceipt(options, context));
  withExamples(
    withCommonOptions(command),
    "urna receipt --election town --voter v-17 --key 00112233445566778899aabbccddeeff",
    "urna receipt --election town --voter v-17 --key 00112233445566778899aabbccddeeff \\\n    --out receipt.txt",
  );
}

async function getReceipt(options: ReceiptOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const { election: electionId } = options;
  const idempotencyKey = idempotencyKeyOf(options.key);
  const request = { electionId, voter: voterOf(options), idempotencyKey };
  const output = ProofFileOutput.of("--out", options.out, options.verifierKey, context);
  const response = await withClient(VoteService, options, context, (client) =>
    client.getReceipt(request, callLimits(context)),
  );
  const { receipt } = response;
  const saved = await output?.save({ receipt, electionId, idempotencyKey }, options);
  if (options.json === true) {
    const json = messageJson(GetReceiptResponseSchema, response) as object;
    terminal.print(JSON.stringify({ ...json, ...(saved === undefined ? {} : { proof: saved.json }) }));
  } else for (const line of [...receiptLines(receipt), ...(saved?.lines ?? [])]) terminal.print(line);
}
