/**
 * The `urna` command, in the order in which a command line meets its files:
 *
 *   urna-command       which commands there are, and how they end
 *   …-command          one file a command: what it takes, what it calls, what it prints
 *   server-connection  which router it talks to; endpoints.ts reads where a run listens
 *   …-text             answers for people; json-output.ts for programs
 *   command-failure    what went wrong, in words and as an exit code
 */
import { readConfig } from "./config.ts";
import { processTerminal } from "./terminal.ts";
import { runUrna } from "./urna-command.ts";

const stop = new AbortController();
// The reader of a pipe has seen enough (urna tally --watch | head).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());

process.exitCode = await runUrna(process.argv.slice(2), {
  terminal: processTerminal(process.stdout, process.stderr, process.stdin),
  config: readConfig(),
  folder: process.cwd(),
  signal: stop.signal,
});
