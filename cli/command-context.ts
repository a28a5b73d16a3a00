/** What every command is given, and the options that every command has. */
import type { Command } from "commander";
import type { CliConfig } from "./config.ts";
import type { Terminal } from "./terminal.ts";

export type CommandContext = {
  readonly terminal: Terminal;
  readonly config: CliConfig;
  /** Where the command was started: endpoints.json is searched from here upwards. */
  readonly folder: string;
  /** Aborted when the user wants to stop. */
  readonly signal: AbortSignal;
};

/** `--server` and `--json`. */
export type CommonOptions = { readonly server?: string; readonly json?: boolean };

export type AdminOptions = CommonOptions & { readonly adminTokenFile?: string };

export function withCommonOptions(command: Command): Command {
  return command
    .option("--server <host:port>", "gRPC address of a router (default: what the nearest .urna/endpoints.json says)")
    .option("--json", "print JSON on standard output");
}

export function withAdminOptions(command: Command): Command {
  return withCommonOptions(command).option(
    "--admin-token-file <file>",
    "file with the admin token (default: URNA_ADMIN_TOKEN, else what endpoints.json says)",
  );
}

/** Examples under a command's help. */
export function withExamples(command: Command, ...examples: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`);
}
