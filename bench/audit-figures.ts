/** What `npm run bench:audit` has measured, for people. */
import type { BenchConditions } from "#bench/bench-conditions.ts";

export type AuditFigures = {
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** Of the auditor's own process. */
  readonly cpuMicrosecondsARow: number;
};

export type AuditBench = {
  readonly conditions: BenchConditions;
  readonly shards: number;
  readonly audits: readonly AuditFigures[];
  /** Medians. */
  readonly rowsPerSecond: number;
  readonly cpuMicrosecondsARow: number;
  /** From a change of one old row on the primary until the auditor that follows has told it. */
  readonly secondsToFind: readonly number[];
};

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function auditMarkdown(bench: AuditBench): string {
  const { conditions, shards, audits, rowsPerSecond, cpuMicrosecondsARow, secondsToFind } = bench;
  const { date, command, commit, cpu, cores, memoryGiB, system, node, postgres } = conditions;
  const rows = audits[0]?.rows ?? 0;
  return `# audit, ${date.slice(0, 10)}

\`${command}\` at commit ${commit}, ${date}.

${cpu}, ${cores} cores, ${memoryGiB} GiB, ${system}; Node ${node}, Postgres ${postgres}. Audits of the ${count(rows)} votes of the real
election on the standbys of ${shards} shards, one after the other, everything on this one machine.

An audit reads **${count(rowsPerSecond)} rows/s** (median; whole seconds of the audit, all else that it does included), and its process spends
${cpuMicrosecondsARow.toFixed(2)} µs of CPU on a row: ${count(1e6 / cpuMicrosecondsARow)} rows/s if one core were all that there is.

| rows/s | µs CPU a row |
|---|---|
${audits.map((audit) => `| ${count(audit.rowsPerSecond)} | ${audit.cpuMicrosecondsARow.toFixed(2)} |`).join("\n")}

While it follows, a change of one old row by SQL was told after ${medianOf(secondsToFind).toFixed(1)} s (median of ${secondsToFind.length}), at the latest after
${Math.max(...secondsToFind).toFixed(1)} s.
`;
}

function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}
