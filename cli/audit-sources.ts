/** Where an audit finds what it reads, from its options and the nearest endpoints.json. */
import { dirname, join, resolve } from "node:path";
import type { Services } from "#auditor/outside-word.ts";
import type { ShardTarget } from "#auditor/shard-target.ts";
import type { CommandContext, CommonOptions } from "./command-context.ts";
import { type Endpoints, findEndpoints } from "./endpoints.ts";
import { UsageError } from "./exit-code.ts";
import { findRouter } from "./server-connection.ts";

export type SourceOptions = CommonOptions & {
  /** "<shard>=<url>", each. */
  readonly database?: readonly string[];
  readonly state?: string;
};

export type AuditSources = {
  readonly targets: readonly ShardTarget[];
  readonly services: Services;
  readonly stateFile: string;
  /** Of the run; undefined where none is known here. */
  readonly runFolder: string | undefined;
};

/** Throws UsageError when something is not known, UnreachableError when no router answers. */
export async function findSources(options: SourceOptions, context: CommandContext): Promise<AuditSources> {
  const endpoints = findEndpoints(context.folder);
  const targets = auditTargets(options.database ?? [], endpoints);
  const stateFile = stateFileOf(options, endpoints, context);
  const runFolder = endpoints === undefined ? undefined : dirname(endpoints.file);
  const { address: router, identity } = await findRouter(options, context);
  return { targets, services: { router, tally: endpoints?.tally.grpc, identity }, stateFile, runFolder };
}

function stateFileOf({ state }: SourceOptions, endpoints: Endpoints | undefined, { folder }: CommandContext): string {
  if (state !== undefined) return resolve(folder, state);
  if (endpoints !== undefined) return join(dirname(endpoints.file), "audit-state.json");
  throw new UsageError("no run of Urna is known here, so give --state FILE: what the auditor remembers");
}

function auditTargets(databases: readonly string[], endpoints: Endpoints | undefined): ShardTarget[] {
  const urls = new Map<number, string>();
  for (const { id, standby } of endpoints?.shards ?? []) if (standby !== undefined) urls.set(id, standby);
  for (const text of databases) {
    const [, shard, url] = /^(\d{1,5})=(postgres(?:ql)?:\/\/.+)$/.exec(text) ?? [];
    if (shard === undefined || url === undefined || !URL.canParse(url)) {
      throw new UsageError(`--database ${text} is not SHARD=URL, as in 0=postgres://user@host:5432/urna`);
    }
    urls.set(Number(shard), url);
  }
  const lacking = (endpoints?.shards ?? []).filter(({ id }) => !urls.has(id)).map(({ id }) => id);
  if (lacking.length > 0) {
    throw new UsageError(`the standby of shard ${lacking.join(", ")} is not known: give --database SHARD=URL`);
  }
  if (urls.size === 0) throw new UsageError("no standby is known here: give --database SHARD=URL for each shard");
  return [...urls].sort(([a], [b]) => a - b).map(([shardId, url]) => ({ shardId, url }));
}
