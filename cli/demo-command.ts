/** `urna demo`: what `npm start` runs. */
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { CommandContext } from "./command-context.ts";
import { withExamples } from "./command-context.ts";
import { wholeNumber } from "./whole-number.ts";

type DemoOptions = {
  readonly ballots?: string;
  readonly shards?: number;
  readonly routers?: number;
  readonly dir?: string;
  readonly portBase?: number;
  readonly rate?: number;
  readonly mesh?: boolean;
  readonly consulServers?: 1 | 3;
  readonly replay?: boolean;
  readonly exit?: boolean;
  readonly json?: boolean;
};

export function addDemoCommand(program: Command, context: CommandContext, endWith: (code: number) => void): void {
  const command = program
    .command("demo")
    .summary("a cluster on this machine, and a real election replayed")
    .description(
      "Starts shards (Postgres primary and synchronous standby each), routers and tally on this machine; replays " +
        "every ballot of an election; checks that the tally is exactly the file, and that a recount agrees; then stays up.",
    )
    .option("--ballots <file>", "CSV with county,precinct,party,candidate,votes (default: New Hampshire 2020)")
    .option("--shards <n>", "shards; an existing folder keeps its number", wholeNumber(1, 64))
    .option("--routers <n>", "router processes", wholeNumber(1, 64))
    .option("--dir <folder>", "where everything is kept (default: .urna)")
    .option("--port-base <n>", "first port; 0 for free ones", wholeNumber(0, 65_000))
    .option("--rate <n>", "votes a second (default: as fast as they are acknowledged)", wholeNumber(1, 10_000_000))
    .option("--mesh", "with Consul (registry, health, UI), mutual TLS and Redis")
    .option("--consul-servers <n>", "with --mesh: 1, or 3 to survive the loss of one (default: 1)", oneOrThree)
    .option("--replay", "send every ballot again; no count changes")
    .option("--exit", "stop after the check")
    .option("--json", "the last line of standard output is one JSON object")
    .action(async (options: DemoOptions) => {
      // Loaded only here: every other command would pay for reading it.
      const { runDemo } = await import("#deploy/demo.ts");
      endWith(await runDemo(options, context.signal));
    });
  withExamples(
    command,
    "urna demo",
    "urna demo --ballots results.csv --shards 4 --exit --json",
    "urna demo --mesh",
    "urna demo --dir /tmp/urna --port-base 0 --rate 20000",
    "npm start -- --replay",
  );
}

function oneOrThree(text: string): 1 | 3 {
  if (text === "1" || text === "3") return text === "1" ? 1 : 3;
  throw new InvalidArgumentError("It is not 1 or 3.");
}
