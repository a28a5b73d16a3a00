/** What a receipt's proof file proves, found out without asking anybody. */
import type { VerifiedProof } from "#proto/ledger/proof-file.ts";
import { parseProofFile, verifyProofFile } from "#proto/ledger/proof-file.ts";
import { demandVerified } from "./exit-code.ts";
import { carriesKey } from "./receipt-proof.ts";
import type { SignedResult } from "./result-document.ts";
import { givenVerifiers } from "./verifier-keys.ts";

export type ReceiptQuestions = {
  /** Whether the entry is of a vote cast with this key is asked, too. */
  readonly idempotencyKey: Uint8Array | undefined;
  /** Whether the vote is one of those that this result counts is asked, too. */
  readonly result: SignedResult | undefined;
};

export type CheckedReceipt = VerifiedProof & {
  /** The one of the keys that the log was signed with. */
  readonly verifierKey: string;
  /** Leaves of the log at the close, when a result was given and counts this vote. */
  readonly closedAtSize: number | undefined;
};

/** Throws NotVerifiedError or LedgerFormatError when the file does not prove what is asked to whoever trusts the keys. */
export function checkReceipt(
  bytes: Uint8Array,
  verifierKeys: readonly string[],
  { idempotencyKey, result }: ReceiptQuestions,
): CheckedReceipt {
  const verifierKey = keyFor(bytes, verifierKeys);
  const proof = verifyProofFile(bytes, verifierKey);
  demandVerified(
    idempotencyKey === undefined || carriesKey(proof.entry, idempotencyKey),
    "the receipt is of a vote that was cast with another idempotency key than --key",
  );
  const closedAtSize = result === undefined ? undefined : closingSize(proof, result);
  return { ...proof, verifierKey, closedAtSize };
}

/** The key of the log that the file names. Whether the log is that one is for the signature to say. */
function keyFor(bytes: Uint8Array, verifierKeys: readonly string[]): string {
  const verifiers = givenVerifiers(verifierKeys);
  const { checkpointNote } = parseProofFile(bytes);
  const [origin = ""] = Buffer.from(checkpointNote).toString("utf8").split("\n", 1);
  const key = verifierKeys[verifiers.findIndex(({ name }) => name === origin)];
  const known = verifiers.map(({ name }) => name).join(", ");
  demandVerified(
    key !== undefined,
    `the receipt says to be of the log ${origin}; the verifier key given is of ${known}`,
  );
  return key;
}

/** Leaves of the log at its close, of which the receipt's is one. */
function closingSize({ entry, index, checkpoint }: VerifiedProof, result: SignedResult): number {
  const { electionId } = result;
  demandVerified(
    entry.electionId === electionId && result.definitionHash.equals(entry.definitionHash),
    `the result is of another election, or another definition, than the receipt: "${electionId}"`,
  );
  const { origin, size, root } = checkpoint;
  const close = result.shards.find((shard) => shard.result.checkpoint.origin === origin)?.result.checkpoint;
  demandVerified(close !== undefined, `the result says nothing of ${origin}, the log that the receipt is of`);
  demandVerified(
    index < close.size,
    `leaf ${index} came after the close, when ${origin} had ${close.size} leaves: the result does not count it`,
  );
  demandVerified(
    close.size !== size || close.root.equals(root),
    `${origin} has signed two different trees of ${size} leaves: keep both files, they prove that it was tampered with`,
  );
  return close.size;
}
