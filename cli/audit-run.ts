/** What `urna audit` does. */
import { Audit, type AuditOptions } from "#auditor/audit.ts";
import { findingKinds } from "#auditor/audit-finding.ts";
import { type AuditReport, reportJson, verifiedThrough } from "#auditor/audit-report.ts";
import { AuditWatch } from "#auditor/audit-watch.ts";
import { withAuditErrors } from "./audit-failure.ts";
import { type AuditSources, findSources, type SourceOptions } from "./audit-sources.ts";
import { findingLine, passLine, progressLine, reportLines } from "./audit-text.ts";
import type { CommandContext } from "./command-context.ts";
import type { ExitCode } from "./exit-code.ts";
import { exitCode, UsageError } from "./exit-code.ts";
import { plainText } from "./text-table.ts";

export type AuditCommandOptions = SourceOptions & {
  readonly all?: boolean;
  readonly follow?: boolean;
  readonly verifierKey?: readonly string[];
  readonly name: string;
};

const progressEveryMs = 100;

export async function runAudit(
  elections: readonly string[],
  options: AuditCommandOptions,
  context: CommandContext,
  endWith: (code: ExitCode) => void,
): Promise<void> {
  if (options.all === true && elections.length > 0) throw new UsageError("give elections or --all, not both");
  await withAuditErrors(async () => {
    const sources = await findSources(options, context);
    const code = await (options.follow === true
      ? follow(auditOptions(elections, options, sources, context), options, context)
      : auditOnce(auditOptions(elections, options, sources, context), options, context));
    if (code !== exitCode.done) endWith(code);
  });
}

function auditOptions(
  elections: readonly string[],
  { verifierKey = [], json }: AuditCommandOptions,
  { targets, services, stateFile }: AuditSources,
  { terminal, signal }: CommandContext,
): AuditOptions {
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  return {
    targets,
    services,
    stateFile,
    verifierKeys: verifierKey,
    elections: elections.length === 0 ? undefined : elections,
    onProgress: ({ shardId, leaves, allLeaves }) => {
      if (json === true || performance.now() - drawnAtMs < progressEveryMs) return;
      drawnAtMs = performance.now();
      terminal.redraw([progressLine(shardId, leaves, allLeaves)]);
    },
    signal,
  };
}

async function auditOnce(
  auditing: AuditOptions,
  { json }: AuditCommandOptions,
  { terminal }: CommandContext,
): Promise<ExitCode> {
  const report = await new Audit(auditing).readAll();
  noteNewKeys(report, auditing.stateFile, terminal);
  if (json === true) terminal.print(JSON.stringify(reportJson(report)));
  else for (const line of reportLines(report)) terminal.print(line);
  if (report.findingCount > 0) return exitCode.refused;
  return report.gaps.length > 0 ? exitCode.unreachable : exitCode.done;
}

/** Until the user stops it. Exit code 1 when anything was found on the way. */
async function follow(
  auditing: AuditOptions,
  { json, name }: AuditCommandOptions,
  { terminal }: CommandContext,
): Promise<ExitCode> {
  let lastLine = "";
  const watch = new AuditWatch({
    ...auditing,
    auditor: name,
    onFinding: (finding) => {
      if (json !== true) terminal.print(findingLine(finding));
      else terminal.print(JSON.stringify({ event: "finding", ...finding, meaning: findingKinds[finding.kind] }));
    },
    onReport: (report) => {
      noteNewKeys(report, auditing.stateFile, terminal);
      if (json === true) terminal.print(JSON.stringify({ event: "pass", ...reportJson(report) }));
      else if (stateOf(report) !== lastLine) terminal.print(passLine(report));
      lastLine = stateOf(report);
    },
    onTrouble: (trouble) => terminal.note(`urna: ${plainText(trouble)}; trying again`),
  });
  const isClean = await watch.run();
  return isClean ? exitCode.done : exitCode.refused;
}

/** What makes a pass worth a line: the pulse of an idle shard is no news. */
function stateOf(report: AuditReport): string {
  const leaves = report.shards.map((shard) => shard.leaves);
  return JSON.stringify([leaves, verifiedThrough(report).length, report.findingCount, report.gaps]);
}

function noteNewKeys({ newKeys }: AuditReport, stateFile: string, terminal: CommandContext["terminal"]): void {
  for (const { shardId, verifierKey } of newKeys) {
    terminal.note(`urna: shard ${shardId} is trusted with the key that it has now, from ${stateFile}: ${verifierKey}`);
  }
  if (newKeys.length > 0)
    terminal.note("urna: compare these keys with what was published elsewhere, or give --verifier-key");
}
