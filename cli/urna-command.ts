/** The `urna` command: its parts, and how it ends. */
import { Command, CommanderError } from "commander";
import { demoJson } from "#deploy/demo-result.ts";
import packageFile from "../package.json" with { type: "json" };
import { addAuditCommand } from "./audit-command.ts";
import { addCaCommand } from "./ca-command.ts";
import { closeCallerIdentity } from "./caller-identity.ts";
import type { CommandContext } from "./command-context.ts";
import { withExamples } from "./command-context.ts";
import { commandFailure } from "./command-failure.ts";
import { addDemoCommand } from "./demo-command.ts";
import { addElectionCommand } from "./election-command.ts";
import type { ExitCode } from "./exit-code.ts";
import { exitCode } from "./exit-code.ts";
import { addKeysCommand } from "./keys-command.ts";
import { addMapCommand } from "./map-command.ts";
import { addReceiptCommand } from "./receipt-command.ts";
import { addRecountCommand } from "./recount-command.ts";
import { addRollCommand } from "./roll-command.ts";
import { addShardCommand } from "./shard-command.ts";
import { addStatusCommand } from "./status-command.ts";
import { addTallyCommand } from "./tally-command.ts";
import { addVerifyCommand } from "./verify-command.ts";
import { addVoteCommand } from "./vote-command.ts";

/** Runs the command line `args` (without node and script) and answers the exit code. */
export async function runUrna(args: readonly string[], context: CommandContext): Promise<number> {
  let ending: number = exitCode.done;
  const program = urnaProgram(context, (code) => {
    ending = code;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return ending;
  } catch (cause) {
    return endWithFailure(cause, args, context);
  } finally {
    await closeCallerIdentity(context);
  }
}

function urnaProgram(context: CommandContext, endWith: (code: number) => void): Command {
  const { terminal } = context;
  const program = new Command("urna")
    .description(
      "Votes that are never lost and never counted twice: elections, votes, tallies, and how the parts stand.",
    )
    .exitOverride()
    // "audit" has options, and a command of its own with options of the same names.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
    })
    .configureHelp({ helpWidth: 80 })
    .showHelpAfterError("(--help says what is possible)")
    .version(packageFile.version);
  addDemoCommand(program, context, endWith);
  addStatusCommand(program, context);
  addElectionCommand(program, context);
  addVoteCommand(program, context);
  addReceiptCommand(program, context);
  addVerifyCommand(program, context);
  addKeysCommand(program, context);
  addTallyCommand(program, context);
  addRecountCommand(program, context, endWith);
  addAuditCommand(program, context, endWith);
  addShardCommand(program, context, endWith);
  addCaCommand(program, context);
  addMapCommand(program, context, endWith);
  addRollCommand(program, context);
  return withExamples(
    program,
    "urna demo                         a cluster on this machine, and a real election replayed",
    "urna election create town.json && urna election open town",
    "urna vote --election town --voter v-17 --region north/ward-1 --select mayor=ann",
    "urna tally town --watch",
  ).addHelpText("after", "\nExit codes: 0 done, 1 refused (the reason is on standard error), 2 usage, 3 unreachable.");
}

function endWithFailure(cause: unknown, args: readonly string[], { terminal, signal }: CommandContext): ExitCode {
  if (signal.aborted) return exitCode.interrupted;
  // Help and version were asked for, and have been printed.
  if (cause instanceof CommanderError && cause.exitCode === 0) return exitCode.done;
  const failure = commandFailure(cause);
  if (failure === undefined) {
    terminal.note(`urna: a fault of this program: ${cause instanceof Error ? cause.stack : String(cause)}`);
    return exitCode.refused;
  }
  for (const line of failure.lines) terminal.note(line);
  // A script that asked for JSON gets a JSON answer also when it fails; the demo's has always the same fields.
  const { error } = failure;
  if (args.includes("--json"))
    terminal.print(args[0] === "demo" ? demoJson({ error: error.message }) : JSON.stringify({ error }));
  return failure.code;
}
