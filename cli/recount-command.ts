/** `urna recount` */
import type { Command } from "commander";
import type { RecountDifference, RecountProgress, RecountResult } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RecountResultSchema, TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import type { ExitCode } from "./exit-code.ts";
import { exitCode } from "./exit-code.ts";
import { printMessage } from "./json-output.ts";
import { formatCount, formatNumberOf, formatShare } from "./number-format.ts";
import { withClient } from "./server-connection.ts";
import { textTable } from "./text-table.ts";

export function addRecountCommand(program: Command, context: CommandContext, endWith: (code: ExitCode) => void): void {
  const command = program
    .command("recount <election>")
    .summary("count the stored votes again and compare")
    .description(
      "Counts the rows of votes on every shard up to the newest tally's cut, and compares. Exit code 1 when they differ.",
    )
    .action(async (electionId: string, options: CommonOptions) => {
      const result = await recount(electionId, options, context);
      if (options.json === true) printMessage(context.terminal, RecountResultSchema, result);
      else for (const line of recountLines(result)) context.terminal.print(line);
      if (!result.matches) endWith(exitCode.refused);
    });
  withExamples(withCommonOptions(command), "urna recount nh-2020-president", "urna recount nh-2020-president --json");
}

function recount(electionId: string, options: CommonOptions, context: CommandContext): Promise<RecountResult> {
  const { terminal, signal } = context;
  return withClient(TallyService, options, context, async (client) => {
    for await (const { part } of client.recount({ electionId }, { signal })) {
      if (part.case === "result") return part.value;
      if (part.case === "progress" && options.json !== true) terminal.redraw([progressLine(part.value)]);
    }
    throw new Error("the recount ended without a result");
  });
}

function progressLine({ rowsCounted, rowsExpected }: RecountProgress): string {
  const share = formatShare(rowsCounted, rowsExpected);
  return `counting: ${formatCount(rowsCounted)} of ${formatCount(rowsExpected)} votes (${share})`;
}

export function recountLines(result: RecountResult): string[] {
  const vector = result.vector.map(({ shardId, batch }) => `shard ${shardId} to batch ${formatCount(batch)}`);
  const counted = `${formatNumberOf(result.rowsCounted, "vote")} counted again, ${vector.join(", ")}`;
  if (result.matches) return [counted, "the tally agrees in every region, contest and option"];
  const shown = result.differences.length;
  const more = result.differenceCount > BigInt(shown) ? ` (the first ${formatCount(shown)} are shown)` : "";
  const heads = [
    { head: "SHARD", align: "right" as const },
    { head: "REGION", flexible: true },
    { head: "WHAT" },
    { head: "TALLY", align: "right" as const },
    { head: "STORED", align: "right" as const },
  ];
  return [
    counted,
    `THE TALLY DIFFERS in ${formatNumberOf(result.differenceCount, "count")}${more}`,
    ...textTable(heads, result.differences.map(differenceCells)),
  ];
}

function differenceCells({ shardId, regionId, contestId, optionId, tally, rows }: RecountDifference): string[] {
  const what = contestId === "" ? "ballots" : `${contestId}: ${optionId === "" ? "undervotes" : optionId}`;
  return [String(shardId), regionId, what, formatCount(tally), formatCount(rows)];
}
