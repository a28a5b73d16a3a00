/**
 * `npm run bench:audit`: replays the real election against a cluster of its own, then audits it several times. Prints one line
 * of JSON an audit: rows a second, and the microseconds of CPU that the auditor's own process spent on a row, which a busy
 * machine changes far less than the rate.
 *
 *   --audits N   how many (default 5)
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Audit } from "#auditor/audit.ts";
import { reportJson } from "#auditor/audit-report.ts";
import { readElectionFile } from "#bench/election-file.ts";
import { replay } from "#bench/replay.ts";
import { standbyTargets } from "#bench/standby-targets.ts";
import { ensureElection } from "#deploy/demo-election.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";

const { values: options } = parseArgs({ options: { audits: { type: "string", default: "5" } } });

const file = await readElectionFile(join(import.meta.dirname, "data/nh-2020-president.csv"));
await using cluster = await EmbeddedCluster.start({ portBase: 0, log: (line) => console.error(line) });
const routers = cluster.endpoints.routers.map(({ grpc }) => grpc);
const never = new AbortController().signal;
await ensureElection({ routers, adminToken: cluster.adminToken() }, file, never);
const report = await replay({ routers, file });
if (report.recorded !== file.ballotCount) throw new Error(`${report.recorded} of ${file.ballotCount} were recorded`);

const audit = new Audit({
  targets: standbyTargets(cluster),
  services: { router: routers[0] ?? "", tally: cluster.endpoints.tally.grpc },
  elections: undefined,
  stateFile: join(cluster.paths.root, "audit-state.json"),
  verifierKeys: [],
  onProgress: () => {},
  signal: never,
});
for (let i = 0; i < Number(options.audits); i++) {
  const { clean, rows, seconds, rows_per_second, cpu_us_per_row, finding_count } = reportJson(await audit.readAll());
  console.log(JSON.stringify({ clean, finding_count, rows, seconds, rows_per_second, cpu_us_per_row }));
}
