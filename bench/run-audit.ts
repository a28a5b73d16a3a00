/**
 * `npm run bench:audit`: replays the real election against a cluster of its own, audits it several times, and then follows it while
 * old rows are changed by SQL. Says how many rows a second an audit reads, how many microseconds of CPU the auditor's process
 * spends on a row (which a busy machine changes far less than the rate), and how long it takes until a change is told. Writes
 * bench/results/<date>-audit.json and .md.
 *
 *   --audits N    how many (default 7)
 *   --changes N   of one row each, one after the other (default 10)
 *   --no-write    print only
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Audit, type AuditOptions } from "#auditor/audit.ts";
import { type AuditFigures, auditMarkdown, medianOf } from "#bench/audit-figures.ts";
import { changesFound } from "#bench/audit-latency.ts";
import { benchConditions } from "#bench/bench-conditions.ts";
import { withSession } from "#bench/checker-shard.ts";
import { readElectionFile } from "#bench/election-file.ts";
import { replay } from "#bench/replay.ts";
import { standbyTargets } from "#bench/standby-targets.ts";
import { ensureElection } from "#deploy/demo-election.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

const { values: options } = parseArgs({
  options: {
    audits: { type: "string", default: "7" },
    changes: { type: "string", default: "10" },
    "no-write": { type: "boolean", default: false },
  },
});

const file = await readElectionFile(join(import.meta.dirname, "data/nh-2020-president.csv"));
await using cluster = await EmbeddedCluster.start({ portBase: 0, log: (line) => console.error(line) });
const routers = cluster.endpoints.routers.map(({ grpc }) => grpc);
const never = new AbortController().signal;
await ensureElection({ routers, adminToken: cluster.adminToken() }, file, never);
const replayed = await replay({ routers, file });
if (replayed.recorded !== file.ballotCount)
  throw new Error(`${replayed.recorded} of ${file.ballotCount} were recorded`);

const auditing: AuditOptions = {
  targets: standbyTargets(cluster),
  services: { router: routers[0] ?? "", tally: cluster.endpoints.tally.grpc },
  elections: undefined,
  stateFile: join(cluster.paths.root, "audit-state.json"),
  verifierKeys: [],
  onProgress: () => {},
  signal: never,
};
const audits: AuditFigures[] = [];
for (let i = 0; i < Number(options.audits); i++) {
  const { rows, seconds, cpuSeconds, findingCount } = await new Audit(auditing).readAll();
  if (findingCount > 0) throw new Error(`${findingCount} findings in a database that nobody has touched`);
  audits.push({ rows, rowsPerSecond: Math.round(rows / seconds), cpuMicrosecondsARow: (cpuSeconds * 1e6) / rows });
  console.error(JSON.stringify(audits.at(-1)));
}
const secondsToFind = await changesFound(cluster, auditing, Number(options.changes));

const command = `npm run bench:audit -- ${process.argv.slice(2).join(" ")}`.trim();
const postgres = await withSession(cluster.ownerUrl(0), async (client) => {
  return (await client.query<{ server_version: string }>("SHOW server_version")).rows[0]?.server_version ?? "";
});
const report = {
  schema_version: 1,
  name: "audit",
  conditions: await benchConditions(command, postgres),
  shards: cluster.shards,
  audits,
  rowsPerSecond: medianOf(audits.map(({ rowsPerSecond }) => rowsPerSecond)),
  cpuMicrosecondsARow: medianOf(audits.map(({ cpuMicrosecondsARow }) => cpuMicrosecondsARow)),
  secondsToFind,
} as const;
console.log(auditMarkdown(report));
if (!options["no-write"]) {
  const folder = join(import.meta.dirname, "results");
  const base = join(folder, `${report.conditions.date.slice(0, 10)}-${report.name}`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFile(`${base}.md`, auditMarkdown(report));
  console.error(`written: ${base}.json, ${base}.md`);
}
