/** `urna tally` */

import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { CallError } from "#mesh/call-error.ts";
import { FrameOrder } from "#proto/frame-order.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import {
  GetTallyResponseSchema,
  TallyService,
  WatchTallyResponseSchema,
} from "#proto/generated/urna/v1/tally_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { withCommonOptions, withExamples } from "./command-context.ts";
import { UnreachableError } from "./exit-code.ts";
import { printMessage } from "./json-output.ts";
import { callDeadlineMs, withClient } from "./server-connection.ts";
import type { Tally } from "./tally-text.ts";
import { tallyClock, tallyLine, tallyLines } from "./tally-text.ts";
import type { Terminal } from "./terminal.ts";
import { plainText } from "./text-table.ts";

type TallyOptions = CommonOptions & { readonly watch?: boolean; readonly region: string };

/** Milliseconds before a watch that broke is taken up again. */
const retryMs = 1_000;

export function addTallyCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("tally <election>")
    .summary("show the counts, once or live")
    .description(
      "Shows the counts of a region and of its children, all at one cut. --watch ends by itself when they are final.",
    )
    .option("--region <id>", "a region of the election (default: all)", "")
    .option("--watch", "follow the counts as they change")
    .action((electionId: string, options: TallyOptions) =>
      options.watch === true ? watchTally(electionId, options, context) : getTally(electionId, options, context),
    );
  withExamples(
    withCommonOptions(command),
    "urna tally nh-2020-president",
    "urna tally nh-2020-president --region belknap --watch",
    "urna tally nh-2020-president --watch --json | jq .region.ballots",
  );
}

async function getTally(electionId: string, options: TallyOptions, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  const definition = await definitionOf(electionId, options, context);
  const request = { electionId, regionId: options.region };
  const tally = await withClient(TallyService, options, context, (client) =>
    client.getTally(request, { deadlineMs: callDeadlineMs, signal }),
  );
  if (options.json === true) printMessage(terminal, GetTallyResponseSchema, tally);
  else for (const line of tallyLines(tally, definition)) terminal.print(line);
}

/** Until the counts are final, or the user has seen enough. */
async function watchTally(electionId: string, options: TallyOptions, context: CommandContext): Promise<void> {
  const { terminal, signal } = context;
  const watch: Watch = {
    electionId,
    definition: await definitionOf(electionId, options, context),
    order: new FrameOrder(),
    lastLine: "",
  };
  for (;;) {
    let failure = "the stream ended";
    try {
      const isFinal = await readFrames(watch, options, context);
      if (isFinal) return;
    } catch (cause) {
      if (!signal.aborted && !mayPass(cause)) throw cause;
      failure = (cause as Error).message;
    }
    if (!signal.aborted) terminal.note(`urna: not live (${plainText(failure)}); trying again`);
    await sleep(retryMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
  }
}

/** What a watch remembers from one stream to the next. */
type Watch = {
  readonly electionId: string;
  readonly definition: ElectionDefinition | undefined;
  readonly order: FrameOrder;
  lastLine: string;
};

/** Whether the last frame was final. */
function readFrames(watch: Watch, options: TallyOptions, context: CommandContext): Promise<boolean> {
  const { terminal, signal } = context;
  const request = { electionId: watch.electionId, regionId: options.region };
  return withClient(TallyService, options, context, async (client) => {
    for await (const frame of client.watchTally(request, { signal })) {
      // A tally that has just started again is behind what was shown: no count may go down (I7).
      if (frame.cut === undefined || !watch.order.accept(frame.cut)) continue;
      if (options.json === true) printMessage(terminal, WatchTallyResponseSchema, frame);
      else if (terminal.watched) terminal.redraw(tallyLines(frame, watch.definition));
      else printChange(frame, watch, terminal);
      if (frame.cut.final) return true;
    }
    return false;
  });
}

/** In a log a line a change: the pulse of an idle shard is no news. */
function printChange(frame: Tally, watch: Watch, terminal: Terminal): void {
  const line = tallyLine(frame);
  if (line !== watch.lastLine) terminal.print(`${tallyClock(frame)}  ${line}`);
  watch.lastLine = line;
}

/** A part that is away comes back; a wrong name does not become right. */
function mayPass(cause: unknown): boolean {
  if (cause instanceof RejectionError) return cause.retryable;
  return cause instanceof CallError || cause instanceof UnreachableError;
}

/** For its titles. JSON shows ids only and needs none. */
async function definitionOf(
  electionId: string,
  options: TallyOptions,
  context: CommandContext,
): Promise<ElectionDefinition | undefined> {
  if (options.json === true) return undefined;
  const { election } = await withClient(ElectionService, options, context, (client) =>
    client.getElection({ electionId }, { deadlineMs: callDeadlineMs, signal: context.signal }),
  );
  return election?.definition;
}
