/** How long an auditor that follows takes to tell that an old row was changed. */
import { randomInt } from "node:crypto";
import type { AuditOptions } from "#auditor/audit.ts";
import type { Finding } from "#auditor/audit-finding.ts";
import { AuditWatch } from "#auditor/audit-watch.ts";
import { withSession } from "#bench/checker-shard.ts";
import type { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { waitFor } from "#deploy/wait-for.ts";

const limitMs = 60_000;
/** Changes come at any moment of a pass. */
const pauseMsMax = 4_000;

type Change = { readonly shardId: number; readonly leaf: number };

/** Seconds, of each of so many changes of one row, which are undone in between. */
export async function changesFound(
  cluster: EmbeddedCluster,
  auditing: AuditOptions,
  changes: number,
): Promise<number[]> {
  const ending = new AbortController();
  let told: Finding[] = [];
  const watch = new AuditWatch({
    ...auditing,
    auditor: "bench",
    onFinding: (finding) => told.push(finding),
    onReport: () => {},
    onTrouble: (trouble) => console.error(trouble),
    signal: ending.signal,
  });
  const running = watch.run();
  const seconds: number[] = [];
  for (let i = 0; i < changes; i++) {
    await waitFor("everything to be clean", limitMs, () => (isClean(watch, cluster.shards) ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, randomInt(pauseMsMax)));
    told = [];
    const change = await flipRow(cluster, i % cluster.shards);
    const changedAtMs = performance.now();
    await waitFor(
      "the change to be told",
      limitMs,
      () => (told.some((finding) => isOf(finding, change)) ? true : undefined),
      5,
    );
    seconds.push((performance.now() - changedAtMs) / 1_000);
    console.error(`shard ${change.shardId}, leaf ${change.leaf}: told after ${seconds.at(-1)?.toFixed(2)} s`);
    await flip(cluster, change);
  }
  ending.abort();
  await running;
  return seconds;
}

function isClean({ view }: AuditWatch, shards: number): boolean {
  return view.findings.length === 0 && view.verified.size === shards;
}

function isOf({ kind, shardId, leaf }: Finding, change: Change): boolean {
  return kind === "ROW_CHANGED" && shardId === change.shardId && leaf === change.leaf;
}

async function flipRow(cluster: EmbeddedCluster, shardId: number): Promise<Change> {
  const leaves = await withSession(cluster.ownerUrl(shardId), async (client) => {
    return (
      (await client.query<{ leaves: number }>("SELECT tree_size::int AS leaves FROM urna.head")).rows[0]?.leaves ?? 0
    );
  });
  const change = { shardId, leaf: randomInt(leaves) };
  await flip(cluster, change);
  return change;
}

/** Flips one bit of the ballot of the row: twice is never. */
async function flip(cluster: EmbeddedCluster, { shardId, leaf }: Change): Promise<void> {
  const statement = "UPDATE urna.votes SET ballot = set_byte(ballot, 1, get_byte(ballot, 1) # 1) WHERE leaf_index = $1";
  await withSession(cluster.ownerUrl(shardId), (client) => client.query(statement, [leaf]));
}
