/** What `urna audit open` does. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nullifierOf, type OpenedCommitment, openCommitment, readWrappedKey } from "#auditor/opened-commitment.ts";
import { withStandby } from "#auditor/standby-session.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { verifyInclusion } from "#proto/ledger/merkle-proof.ts";
import { parseVerifierKey, verifyNote } from "#proto/ledger/signed-note.ts";
import { withAuditErrors } from "./audit-failure.ts";
import { type AuditSources, findSources, type SourceOptions } from "./audit-sources.ts";
import { openedLines } from "./audit-text.ts";
import type { CommandContext } from "./command-context.ts";
import { demandVerified, NotVerifiedError, UsageError } from "./exit-code.ts";
import { callLimits } from "./server-connection.ts";

export type AuditOpenOptions = SourceOptions & {
  readonly election: string;
  readonly shard?: string;
  readonly leaf?: string;
  readonly voter?: string;
  readonly routerKeyFile?: string;
};

type Found = { readonly opened: OpenedCommitment; readonly shardId: number };

export function runOpen(options: AuditOpenOptions, context: CommandContext): Promise<void> {
  return withAuditErrors(() => open(options, context));
}

async function open(options: AuditOpenOptions, context: CommandContext): Promise<void> {
  const seek = seeking(options);
  const sources = await findSources({ ...options, state: "audit-state.json" }, context);
  const found = seek === "voter" ? await byVoter(options, sources) : await byLeaf(seek, options, sources);
  const proof = await proofLine(found, sources, context);
  if (options.json === true) context.terminal.print(JSON.stringify(openedJson(found)));
  else for (const line of openedLines(found.opened, found.shardId, proof)) context.terminal.print(line);
}

function seeking({
  leaf,
  shard,
  voter,
}: AuditOpenOptions): "voter" | { readonly leaf: number; readonly shardId: number } {
  if (voter !== undefined && leaf === undefined && shard === undefined) return "voter";
  if (voter === undefined && leaf !== undefined && shard !== undefined) {
    if (!/^\d{1,15}$/.test(leaf)) throw new UsageError(`--leaf ${leaf} is not the number of a leaf`);
    if (!/^\d{1,5}$/.test(shard)) throw new UsageError(`--shard ${shard} is not the number of a shard`);
    return { leaf: Number(leaf), shardId: Number(shard) };
  }
  throw new UsageError("give --shard and --leaf, or --voter");
}

async function byLeaf(
  { leaf, shardId }: { readonly leaf: number; readonly shardId: number },
  { election }: AuditOpenOptions,
  { targets }: AuditSources,
): Promise<Found> {
  const target = targets.find((candidate) => candidate.shardId === shardId);
  if (target === undefined) throw new UsageError(`there is no shard ${shardId}`);
  const opened = await withStandby(target.url, (client) => openCommitment(client, election, { leaf }));
  if (opened !== undefined) return { opened, shardId };
  throw new NotVerifiedError(`leaf ${leaf} of shard ${shardId} is no vote of "${election}"`);
}

/** On whichever shard: the nullifier says which, and here all are asked. */
async function byVoter(
  { election, voter = "", routerKeyFile }: AuditOpenOptions,
  sources: AuditSources,
): Promise<Found> {
  const routerKey = readRouterKey(routerKeyFile, sources.runFolder);
  for (const { shardId, url } of sources.targets) {
    const opened = await withStandby(url, async (client) => {
      const wrapped = await readWrappedKey(client, election);
      if (wrapped === undefined) return undefined;
      return openCommitment(client, election, { nullifier: unwrapped(routerKey, election, wrapped, voter) });
    });
    if (opened !== undefined) return { opened, shardId };
  }
  throw new NotVerifiedError(`no shard has a vote of this voter in "${election}"`);
}

function unwrapped(routerKey: Buffer, election: string, wrapped: Buffer, voter: string): Buffer {
  try {
    return nullifierOf(routerKey, election, wrapped, voter);
  } catch {
    throw new UsageError(`the key of "${election}" cannot be unwrapped with this routers' key`);
  }
}

function readRouterKey(file: string | undefined, runFolder: string | undefined): Buffer {
  const path = file ?? (runFolder === undefined ? undefined : join(runFolder, "secrets", "router-key"));
  if (path === undefined) throw new UsageError("give --router-key-file FILE: without it no voter can be found by name");
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new UsageError(`the routers' key cannot be read: ${(cause as Error).message}`);
  }
}

/** Throws NotVerifiedError unless the newest signed checkpoint has the leaf that was opened. */
async function proofLine({ opened, shardId }: Found, { services }: AuditSources, context: CommandContext) {
  const client = createClient(LedgerService, services.router, services.identity);
  try {
    const { keys } = await client.getVerifierKeys({}, callLimits(context));
    const { verifierKey = "" } = keys.find((key) => key.shardId === shardId) ?? {};
    const { signedNote } = await client.getCheckpoint({ shardId }, callLimits(context));
    const { size, root, origin } = parseCheckpoint(verifyNote(signedNote, [parseVerifierKey(verifierKey)]).text);
    if (size <= opened.leaf) return `no signed checkpoint has this leaf yet: the newest has ${size} leaves`;
    const request = { shardId, leafIndex: BigInt(opened.leaf), treeSize: BigInt(size) };
    const { hashes } = await client.getInclusionProof(request, callLimits(context));
    const { leafHash, leaf: leafIndex } = opened;
    const isIncluded = verifyInclusion({ leafHash, leafIndex, treeSize: size, proof: hashes, root });
    demandVerified(
      isIncluded,
      `the row of leaf ${leafIndex} does not lead to the signed root of ${origin}: it was changed`,
    );
    return `proved      this leaf is in the signed checkpoint of ${origin} with ${size} leaves`;
  } finally {
    client.close();
  }
}

function openedJson({ opened, shardId }: Found): Record<string, unknown> {
  const { electionId, leaf, batch, region, regionId, selections } = opened;
  const hex = (bytes: Buffer) => bytes.toString("hex");
  return {
    election_id: electionId,
    shard_id: shardId,
    leaf,
    batch,
    region,
    region_id: regionId ?? null,
    selections,
    ballot: hex(opened.ballot),
    nonce: hex(opened.nonce),
    commitment: hex(opened.commitment),
    nullifier: hex(opened.nullifier),
    key_hash: hex(opened.keyHash),
    leaf_entry: hex(opened.entry),
    leaf_hash: hex(opened.leafHash),
  };
}
