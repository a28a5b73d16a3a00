/**
 * The proof of a receipt, from servers that need not be trusted: whatever they answer is checked here before it is kept.
 * With the file alone, and the verifier key of the log, anybody can check it again.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { definitionHash } from "#proto/election-shape.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import type { Receipt } from "#proto/generated/urna/v1/vote_pb.js";
import { parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import type { LeafEntry } from "#proto/ledger/leaf-entry.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import type { VerifiedProof } from "#proto/ledger/proof-file.ts";
import { formatProofFile, verifyProofFile } from "#proto/ledger/proof-file.ts";
import { parseVerifierKey, verifyNote } from "#proto/ledger/signed-note.ts";
import { keyHashBytes } from "#proto/limits.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";
import { demandVerified, NotVerifiedError } from "./exit-code.ts";
import type { CallLimits, RouterAddress } from "./server-connection.ts";
import { serverKeys } from "./verifier-keys.ts";

export type ProofWanted = {
  /** As the router answered it. */
  readonly receipt: Receipt | undefined;
  /** The election that was asked about. */
  readonly electionId: string;
  /** The voter's own. */
  readonly idempotencyKey: Uint8Array;
  /** The key that the user trusts; else the router is asked for one. */
  readonly verifierKey: string | undefined;
};

export type ReceiptProof = VerifiedProof & {
  /** The C2SP tlog-proof file. */
  readonly file: Buffer;
  /** What it was checked with. */
  readonly verifierKey: string;
};

export type ProofLimits = CallLimits & {
  /** How long a checkpoint that covers the leaf is waited for: a shard signs one within a second. */
  readonly coverWithinMs?: number;
};

type Ledger = Client<typeof LedgerService>;
/** A log, and the place in it that a receipt names. */
type Place = { readonly shardId: number; readonly logOrigin: string; readonly leafIndex: number };

const coverWithinMsDefault = 5_000;
const coverPauseMs = 100;

/** Asks this router. Throws NotVerifiedError when anything that it answers does not verify. */
export async function obtainProof(
  { address, identity }: RouterAddress,
  wanted: ProofWanted,
  limits: ProofLimits,
): Promise<ReceiptProof> {
  const elections = createClient(ElectionService, address, identity);
  const ledger = createClient(LedgerService, address, identity);
  try {
    const place = placeOf(wanted);
    const definition = await definitionOf(elections, wanted.electionId, limits);
    const proof = await fetchProof(ledger, place, wanted.verifierKey, limits);
    demandOwnEntry(proof.entry, wanted, definition);
    return proof;
  } catch (cause) {
    if (!(cause instanceof LedgerFormatError)) throw cause;
    throw new NotVerifiedError(`what the router answered does not prove the receipt: ${cause.message}`);
  } finally {
    elections.close();
    ledger.close();
  }
}

/** The first 16 bytes of SHA-256(idempotency key), as a leaf entry carries them. */
export function keyHashOf(idempotencyKey: Uint8Array): Buffer {
  return hash("sha256", idempotencyKey, "buffer").subarray(0, keyHashBytes);
}

/** Throws NotVerifiedError unless the receipt is of this election and agrees with itself. */
function placeOf({ receipt, electionId }: ProofWanted): Place {
  demandVerified(receipt !== undefined, "the router answered without a receipt");
  const { logOrigin, receiptId } = receipt;
  demandVerified(receipt.electionId === electionId, `the receipt is of election "${receipt.electionId}"`);
  const log = parseLogOrigin(logOrigin);
  demandVerified(log !== undefined, `the receipt names "${logOrigin}", which is no log's name`);
  const { shardId } = log;
  const leafIndex = Number(receipt.leafIndex);
  demandVerified(Number.isSafeInteger(leafIndex), `the receipt names leaf ${receipt.leafIndex}, beyond every log`);
  const expected = formatReceiptId({ shardId, leafIndex: receipt.leafIndex });
  demandVerified(
    receiptId === expected,
    `the receipt's id is ${receiptId}; that of its log and leaf would be ${expected}`,
  );
  return { shardId, logOrigin, leafIndex };
}

/** The hash of the election's definition, computed from the definition. */
async function definitionOf(
  elections: Client<typeof ElectionService>,
  electionId: string,
  { deadlineMs, signal }: CallLimits,
): Promise<Buffer> {
  const { election } = await elections.getElection({ electionId }, { deadlineMs, signal });
  const definition = election?.definition;
  demandVerified(definition !== undefined, "the router answered without the election's definition");
  const { electionId: answered } = definition;
  demandVerified(answered === electionId, `the router answered the definition of election "${answered}"`);
  const hashed = definitionHash(definition);
  demandVerified(
    hashed.equals(election?.definitionHash ?? Buffer.alloc(0)),
    `the definition of "${electionId}" that the router answered does not have the hash that it names`,
  );
  return hashed;
}

async function fetchProof(
  ledger: Ledger,
  place: Place,
  trustedKey: string | undefined,
  limits: ProofLimits,
): Promise<ReceiptProof> {
  const { shardId, leafIndex } = place;
  const verifierKey = trustedKey ?? (await keyOfShard(ledger, shardId, limits));
  const { checkpointNote, treeSize } = await coveringCheckpoint(ledger, place, verifierKey, limits);
  const request = { shardId, leafIndex: BigInt(leafIndex), treeSize: BigInt(treeSize) };
  const { deadlineMs, signal } = limits;
  const { hashes, entry } = await ledger.getInclusionProof(request, { deadlineMs, signal });
  const file = formatProofFile({ extra: entry, index: leafIndex, hashes, checkpointNote });
  return { file, verifierKey, ...verifyProofFile(file, verifierKey) };
}

async function keyOfShard(ledger: Ledger, shardId: number, { deadlineMs, signal }: CallLimits): Promise<string> {
  const keys = await serverKeys(ledger, { deadlineMs, signal });
  const key = keys.find((known) => known.shardId === shardId);
  demandVerified(key !== undefined, `the router names no verifier key of shard ${shardId}`);
  return key.verifierKey;
}

/** Waits for a checkpoint of more leaves than those before the receipt's. */
async function coveringCheckpoint(ledger: Ledger, place: Place, verifierKey: string, limits: ProofLimits) {
  const { shardId, logOrigin, leafIndex } = place;
  const { deadlineMs, signal, coverWithinMs = coverWithinMsDefault } = limits;
  const verifier = parseVerifierKey(verifierKey);
  demandVerified(
    verifier.name === logOrigin,
    `the vote is in the log ${logOrigin}, but the verifier key is that of ${verifier.name}`,
  );
  const endsAtMs = performance.now() + coverWithinMs;
  for (;;) {
    const { signedNote } = await ledger.getCheckpoint({ shardId }, { deadlineMs, signal });
    const { origin, size } = parseCheckpoint(verifyNote(signedNote, [verifier]).text);
    demandVerified(origin === logOrigin, `the vote is in the log ${logOrigin}, but the checkpoint is of ${origin}`);
    if (size > leafIndex) return { checkpointNote: signedNote, treeSize: size };
    if (performance.now() + coverPauseMs > endsAtMs) {
      throw new NotVerifiedError(
        `the newest checkpoint of ${logOrigin} has ${size} leaves and does not cover leaf ${leafIndex} yet: try again`,
      );
    }
    await delay(coverPauseMs, undefined, { signal });
  }
}

/** Were these not the voter's own, two voters could be shown the same leaf, or options be renamed after the vote. */
function demandOwnEntry(entry: LeafEntry, { electionId, idempotencyKey }: ProofWanted, definition: Buffer): void {
  demandVerified(entry.electionId === electionId, `the leaf is a vote of election "${entry.electionId}"`);
  demandVerified(
    definition.equals(entry.definitionHash),
    `the leaf is a vote of another definition of "${electionId}" than the router shows`,
  );
  demandVerified(carriesKey(entry, idempotencyKey), "the leaf carries the hash of another idempotency key");
}

/** Whether the entry is of a vote that was cast with this idempotency key. */
export function carriesKey({ keyHash }: LeafEntry, idempotencyKey: Uint8Array): boolean {
  return timingSafeEqual(keyHash, keyHashOf(idempotencyKey));
}
