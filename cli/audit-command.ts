/** `urna audit` and `urna audit open` */
import type { Command } from "commander";
import type { AuditOpenOptions } from "./audit-open.ts";
import type { AuditCommandOptions } from "./audit-run.ts";
import type { CommandContext } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import type { ExitCode } from "./exit-code.ts";
import { collectTexts } from "./vote-arguments.ts";

const databaseOption = [
  "--database <shard=url>",
  "a standby, instead of what endpoints.json says; for each shard",
] as const;

export function addAuditCommand(program: Command, context: CommandContext, endWith: (code: ExitCode) => void): void {
  const command = program
    .command("audit [elections...]")
    .summary("check every vote, leaf, root and count on the standbys")
    // What stands behind "open" is its own.
    .enablePositionalOptions()
    .description(
      "Reads every row on the standbys, makes the ledger again, and compares it with all that was signed, with the batch " +
        "log, and with the published tallies. Exit code 1 when anything is wrong, 3 when it could not all be asked.",
    )
    .option("--all", "tallies and results of all elections (the default)")
    .option("--follow", "audit again and again, new batches as they come, and tell the tally; Ctrl-C ends")
    .option("--state <file>", "what the auditor remembers (default: audit-state.json in the run's folder)")
    .option("--verifier-key <key>", "a shard's key, from a place that you trust; may be given for each", collectTexts)
    .option(...databaseOption, collectTexts)
    .option("--name <name>", "tells auditors apart where several follow", "")
    .action(async (elections: string[], options: AuditCommandOptions) => {
      // Loaded only here: every other command would pay for reading it.
      const { runAudit } = await import("./audit-run.ts");
      await runAudit(elections, options, context, endWith);
    });
  withExamples(
    withCommonOptions(command),
    "urna audit",
    "urna audit nh-2020-president --json",
    "urna audit --follow",
    "urna audit open --election town --shard 0 --leaf 17",
  );
  addAuditOpenCommand(command, context);
}

function addAuditOpenCommand(audit: Command, context: CommandContext): void {
  const command = audit
    .command("open")
    .summary("open the commitment of one vote")
    .description(
      "Shows what one leaf of the ledger hides: ballot, region and nonce, and that they give its commitment. Whoever may read " +
        "the table of votes can do this, and nobody else. To find a voter by name takes the routers' key as well.",
    )
    .requiredOption("--election <id>", "the election")
    .option("--shard <id>", "the shard of the leaf")
    .option("--leaf <n>", "the leaf, as the receipt names it")
    .option("--voter <id>", "who voted; with the routers' key")
    .option("--router-key-file <file>", "the routers' key (default: what the run's folder has)")
    .option(...databaseOption, collectTexts)
    .action(async (options: AuditOpenOptions) => {
      const { runOpen } = await import("./audit-open.ts");
      await runOpen(options, context);
    });
  withExamples(
    withCommonOptions(command),
    "urna audit open --election town --shard 0 --leaf 17",
    "urna audit open --election town --voter v-17",
  );
}
