/** `npm run ghz` as a test runs it: against a cluster of the test, its one line of JSON read. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { withSession } from "#bench/checker-shard.ts";
import type { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { checkoutRoot, nodeFlags, ownNode } from "#deploy/own-node.ts";

export type GhzLine = {
  readonly passed: boolean;
  readonly calls: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly votes_per_call: number;
  readonly votes_tallied: number;
  readonly checks: readonly { readonly title: string; readonly state: string; readonly says: string }[];
  readonly report_json: string;
  readonly report_html?: string;
};

export type GhzEnd = { readonly code: number | null; readonly said: string; readonly line: GhzLine | undefined };

/** Ends when the command has. */
export async function ghzCommand(...args: readonly string[]): Promise<GhzEnd> {
  const child = spawn(ownNode, [...nodeFlags, "bench/run-ghz.ts", ...args], {
    cwd: checkoutRoot,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [answer, said, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, said, line: answer.startsWith("{") ? (JSON.parse(answer) as GhzLine) : undefined };
}

/** Rows of all elections over all shards, read from the databases. */
export async function storedRows(cluster: EmbeddedCluster): Promise<number> {
  let rows = 0;
  for (let shardId = 0; shardId < cluster.shards; shardId++) {
    rows += await withSession(cluster.ownerUrl(shardId), async (client) => {
      const { rows: found } = await client.query<{ count: string }>("SELECT count(*) FROM urna.votes");
      return Number(found[0]?.count);
    });
  }
  return rows;
}
