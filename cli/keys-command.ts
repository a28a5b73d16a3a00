/** `urna keys` */
import type { Command } from "commander";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { callLimits, withClient } from "./server-connection.ts";
import { textTable } from "./text-table.ts";
import { serverKeys } from "./verifier-keys.ts";

export function addKeysCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("keys")
    .summary("list the keys that the shards sign with")
    .description(
      "Lists the verifier key of every shard's log. Whoever checks receipts and results must have them from a place that " +
        "they trust: publish them before the vote, and keep them.",
    )
    .action((options: CommonOptions) => listKeys(options, context));
  withExamples(withCommonOptions(command), "urna keys", "urna keys --json > keys.json");
}

async function listKeys(options: CommonOptions, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const keys = await withClient(LedgerService, options, context, (client) => serverKeys(client, callLimits(context)));
  if (options.json === true) {
    const document = keys.map(({ shardId, verifierKey }) => ({ shard_id: shardId, verifier_key: verifierKey }));
    terminal.print(JSON.stringify(document));
    return;
  }
  const columns = [{ head: "SHARD", align: "right" as const }, { head: "VERIFIER KEY" }];
  const rows = keys.map(({ shardId, verifierKey }) => [String(shardId), verifierKey]);
  for (const line of textTable(columns, rows)) terminal.print(line);
}
