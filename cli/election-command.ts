/** `urna election create|open|close|list|show|result` */
import type { Command } from "commander";
import type { Client } from "#mesh/grpc-client.ts";
import type { Election } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionSchema } from "#proto/generated/urna/v1/election_pb.js";
import type { ListElectionsResponse } from "#proto/generated/urna/v1/election_service_pb.js";
import { ElectionService, ListElectionsResponseSchema } from "#proto/generated/urna/v1/election_service_pb.js";
import { deadlineMsMax } from "#proto/limits.ts";
import type { AdminOptions, CommandContext, CommonOptions } from "./command-context.ts";
import { withAdminOptions, withCommonOptions, withExamples } from "./command-context.ts";
import { readDefinition } from "./definition-file.ts";
import { addElectionResultCommand } from "./election-result-command.ts";
import { electionLines, electionTable, stateText } from "./election-text.ts";
import { printMessage } from "./json-output.ts";
import { adminHeaders, callDeadlineMs, withClient } from "./server-connection.ts";

export function addElectionCommand(program: Command, context: CommandContext): void {
  const election = program
    .command("election")
    .summary("create, open, close, list and show elections, get results")
    .description("Creates, opens, closes, lists and shows elections, and gets their signed results.");
  const create = election
    .command("create <file>")
    .summary("create an election from a definition")
    .description(
      "Creates an election from FILE: ElectionDefinition as protobuf JSON (- reads standard input), or a CSV with " +
        "the columns county,precinct,party,candidate,votes. The same definition again is no error; another one is.",
    )
    .action((file: string, options: AdminOptions) => createElection(file, options, context));
  withExamples(withAdminOptions(create), "urna election create town.json", "urna election create results.csv --json");
  const open = election
    .command("open <election>")
    .summary("let votes in")
    .description("Opens the election; done when every shard has opened it.")
    .action((electionId: string, options: AdminOptions) =>
      changeElection("openElection", electionId, options, context),
    );
  withExamples(withAdminOptions(open), "urna election open town");
  const close = election
    .command("close <election>")
    .summary("end the vote; the result is final then")
    .description("Closes the election for ever; done when every shard has closed it: the result is final then.")
    .action((electionId: string, options: AdminOptions) =>
      changeElection("closeElection", electionId, options, context),
    );
  withExamples(withAdminOptions(close), "urna election close town");
  const list = election
    .command("list")
    .summary("list the elections")
    .description("Lists the elections, without their contests and regions.")
    .action((options: CommonOptions) => listElections(options, context));
  withExamples(withCommonOptions(list), "urna election list");
  const show = election
    .command("show <election>")
    .summary("show definition and state")
    .description("Shows an election: its definition, its state, and where each shard stands.")
    .action((electionId: string, options: CommonOptions) => showElection(electionId, options, context));
  withExamples(withCommonOptions(show), "urna election show town", "urna election show town --json");
  addElectionResultCommand(election, context);
}

async function createElection(file: string, options: AdminOptions, context: CommandContext): Promise<void> {
  const definition = await readDefinition(file, context.terminal);
  const headers = adminHeaders(options, context);
  const { election } = await withElections(options, context, (client) =>
    client.createElection({ definition }, { deadlineMs: deadlineMsMax, headers, signal: context.signal }),
  );
  announce(election, options, context);
}

/** Answered when every shard stands there, hence the long deadline. */
async function changeElection(
  change: "openElection" | "closeElection",
  electionId: string,
  options: AdminOptions,
  context: CommandContext,
): Promise<void> {
  const headers = adminHeaders(options, context);
  const callOptions = { deadlineMs: deadlineMsMax, headers, signal: context.signal };
  const election = await withElections<Election | undefined>(options, context, async (client) => {
    const response = await client[change]({ electionId }, callOptions);
    return response.election;
  });
  announce(election, options, context);
}

async function listElections(options: CommonOptions, context: CommandContext): Promise<void> {
  const response: ListElectionsResponse = await withElections(options, context, (client) =>
    client.listElections({}, { deadlineMs: callDeadlineMs, signal: context.signal }),
  );
  if (options.json === true) printMessage(context.terminal, ListElectionsResponseSchema, response);
  else for (const line of electionTable(response.elections)) context.terminal.print(line);
}

async function showElection(electionId: string, options: CommonOptions, context: CommandContext): Promise<void> {
  const { election } = await withElections(options, context, (client) =>
    client.getElection({ electionId }, { deadlineMs: callDeadlineMs, signal: context.signal }),
  );
  if (election === undefined) throw new Error("the router answered without an election");
  if (options.json === true) printMessage(context.terminal, ElectionSchema, election);
  else for (const line of electionLines(election)) context.terminal.print(line);
}

function withElections<Result>(
  options: CommonOptions,
  context: CommandContext,
  use: (client: Client<typeof ElectionService>) => Promise<Result>,
): Promise<Result> {
  return withClient(ElectionService, options, context, use);
}

/** One line: what it is now, on how many shards. */
function announce(election: Election | undefined, { json }: CommonOptions, { terminal }: CommandContext): void {
  if (election === undefined) throw new Error("the router answered without an election");
  const { state, shards, definition } = election;
  const there = shards.filter((shard) => shard.state === state).length;
  if (json === true) printMessage(terminal, ElectionSchema, election);
  else terminal.print(`${definition?.electionId ?? ""}: ${stateText(state)} on ${there} of ${shards.length} shards`);
}
