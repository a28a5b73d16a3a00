/** `urna status` */
import type { Command } from "commander";
import { ShardNodeStatusSchema } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { callerIdentity } from "./caller-identity.ts";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { UnreachableError } from "./exit-code.ts";
import { messageJson } from "./json-output.ts";
import { findRouter, nearestEndpoints } from "./server-connection.ts";
import type { StatusReport } from "./status-report.ts";
import { nothingAnswers, reportOfRouter, reportOfRun } from "./status-report.ts";
import { statusLines } from "./status-text.ts";

export function addStatusCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("status")
    .summary("show how every part stands")
    .description(
      "Shows routers, tally and shard nodes, asked one by one; with --server, what that router says of the shard nodes.",
    )
    .action((options: CommonOptions) => showStatus(options, context));
  withExamples(withCommonOptions(command), "urna status", "urna status --json", "urna status --server 127.0.0.1:50051");
}

async function showStatus(options: CommonOptions, context: CommandContext): Promise<void> {
  const report = await statusReport(options, context);
  if (nothingAnswers(report)) {
    throw new UnreachableError(`no part that ${report.source} names answers: start Urna again with "npm start"`);
  }
  if (options.json === true) context.terminal.print(JSON.stringify(reportJson(report)));
  else for (const line of statusLines(report)) context.terminal.print(line);
}

async function statusReport(options: CommonOptions, context: CommandContext): Promise<StatusReport> {
  if (options.server === undefined) {
    return reportOfRun(nearestEndpoints(context.folder), await callerIdentity(context));
  }
  const { address, identity } = await findRouter(options, context);
  return reportOfRouter(address, identity);
}

function reportJson({ source, servers, nodes }: StatusReport): object {
  return { source, servers, nodes: nodes.map((node) => messageJson(ShardNodeStatusSchema, node)) };
}
