/**
 * `npm run ghz -- unary|batch|stream|spike|soak`: loads a running cluster with ghz, by reflection, and counts afterwards. In
 * this order:
 *
 *   ghz-options.ts   what was asked for
 *   ghz-target.ts    the cluster, from endpoints.json
 *   ghz-session.ts   an election of its own, the folder of the reports
 *   ghz-steady.ts, ghz-spike.ts   the load; ghz-votes.ts, ghz-arguments.ts and ghz-program.ts are how ghz is told
 *   ghz-account.ts   what was sent, and what was counted
 *   ghz-summary.ts   what it means
 *
 * Exit code: 0 when no check failed, 1 when one did or nothing could be measured, 2 when the command line is wrong.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GhzOptions } from "#bench/ghz-options.ts";
import { GhzUsageError, ghzUsage, readOptions } from "#bench/ghz-options.ts";
import { GhzSession } from "#bench/ghz-session.ts";
import { runSpike } from "#bench/ghz-spike.ts";
import type { GhzResult } from "#bench/ghz-steady.ts";
import { runSoak, runSteady } from "#bench/ghz-steady.ts";
import { hasPassed, summaryJson, summaryText } from "#bench/ghz-summary.ts";
import { GhzRefusal, readTarget } from "#bench/ghz-target.ts";
import { findGhz } from "#deploy/go-tool.ts";
import { ToolMissingError } from "#deploy/tool-search.ts";

const log = (line: string) => console.error(`ghz: ${line}`);

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  process.once("SIGTERM", () => interrupted.abort());
  try {
    const options = readOptions(args);
    if (options === undefined) {
      console.log(ghzUsage);
      return 0;
    }
    return (await load(options, interrupted.signal)) ? 0 : 1;
  } catch (error) {
    if (error instanceof GhzUsageError) {
      console.error(`ghz: ${error.message}\n\n${ghzUsage}`);
      return 2;
    }
    if (interrupted.signal.aborted) console.error("ghz: stopped before the count");
    else if (error instanceof GhzRefusal || error instanceof ToolMissingError) console.error(`ghz: ${error.message}`);
    else throw error;
    return 1;
  }
}

/** Answers whether no check failed. */
async function load(options: GhzOptions, signal: AbortSignal): Promise<boolean> {
  const { kind, json } = options;
  const target = await readTarget(options.dir, options.router);
  try {
    const ghz = await findGhz(log);
    const session = await GhzSession.open({ ghz, kind, target, log, signal });
    const { electionId, folder } = session;
    const result = await runKind(session, options);
    const input = { kind, electionId, router: target.router, folder, result };
    const text = summaryText(input);
    const line = JSON.stringify(summaryJson(input));
    await writeFile(join(folder, "summary.txt"), `${text}\n`);
    await writeFile(join(folder, "summary.json"), `${line}\n`);
    if (result.memory.length > 0) await writeFile(join(folder, "memory.csv"), memoryTable(result));
    if (json) console.error(text);
    console.log(json ? line : text);
    return hasPassed(result);
  } finally {
    target.identity?.close();
  }
}

function runKind(session: GhzSession, options: GhzOptions): Promise<GhzResult> {
  switch (options.kind) {
    case "unary":
    case "batch":
    case "stream":
      return runSteady(session, options);
    case "spike":
      return runSpike(session, options);
    case "soak":
      return runSoak(session, options);
  }
}

/** MiB of each process, a line a second. */
function memoryTable({ memory }: GhzResult): string {
  const names = [...(memory[0]?.byName.keys() ?? [])];
  const rows = memory.map(({ atSeconds, byName }) =>
    [atSeconds.toFixed(1), ...names.map((name) => byName.get(name)?.toFixed(1) ?? "")].join(","),
  );
  return `${["seconds", ...names].join(",")}\n${rows.join("\n")}\n`;
}
