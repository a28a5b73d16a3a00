/** The keys that shards sign with, as a server names them or as a person gives them. */
import type { Client } from "#mesh/grpc-client.ts";
import type { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import type { NoteVerifier } from "#proto/ledger/signed-note.ts";
import { parseVerifierKey } from "#proto/ledger/signed-note.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import { demandVerified } from "./exit-code.ts";
import type { CallLimits } from "./server-connection.ts";

export type ShardKey = { readonly shardId: number; readonly verifierKey: string };

/** Of every shard, by its number. Throws NotVerifiedError or LedgerFormatError when they are no keys of different shards. */
export async function serverKeys(ledger: Client<typeof LedgerService>, limits: CallLimits): Promise<ShardKey[]> {
  const { keys } = await ledger.getVerifierKeys({}, limits);
  const sorted = keys
    .map(({ shardId, verifierKey }) => ({ shardId, verifierKey }))
    .sort((a, b) => a.shardId - b.shardId);
  for (const [index, { shardId, verifierKey }] of sorted.entries()) {
    const { name } = parseVerifierKey(verifierKey);
    demandVerified(sorted[index + 1]?.shardId !== shardId, `the router names two keys of shard ${shardId}`);
    demandVerified(
      parseLogOrigin(name)?.shardId === shardId,
      `the router says that the key of ${name} is that of shard ${shardId}`,
    );
  }
  return sorted;
}

/** What --verifier-key was given; each name once. Throws LedgerFormatError for a key that is malformed. */
export function givenVerifiers(keys: readonly string[]): NoteVerifier[] {
  const verifiers = keys.map(parseVerifierKey);
  for (const [index, { name }] of verifiers.entries()) {
    const isFirst = verifiers.findIndex((other) => other.name === name) === index;
    demandVerified(isFirst, `two --verifier-key are of ${name}: give the one that you trust`);
  }
  return verifiers;
}
