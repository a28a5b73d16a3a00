/** A checked receipt for people: what it proves, and what it does not. */
import { encodeBase64 } from "#proto/ledger/canonical-text.ts";
import { bulletLines } from "./bullet-list.ts";
import { formatCount, formatLeaves } from "./number-format.ts";
import type { CheckedReceipt } from "./receipt-check.ts";
import { plainText } from "./text-table.ts";

export function checkedReceiptLines(receipt: CheckedReceipt, keyWasGiven: boolean): string[] {
  const { entry, index, checkpoint, verifierKey, closedAtSize } = receipt;
  const { origin, size, root } = checkpoint;
  const facts: [string, string][] = [
    ["election", entry.electionId],
    ["definition", hex(entry.definitionHash)],
    ["log", `${origin}, ${formatLeaves(size)}, root ${encodeBase64(root)}`],
    ["signed by", verifierKey],
    ["leaf", formatCount(index)],
    ["voter", `${hex(entry.nullifier)} (a pseudonym)`],
    ["key hash", `${keyHashText(entry.keyHash)}${keyWasGiven ? " (that of --key)" : ""}`],
  ];
  const lines = [
    "VERIFIED: this receipt",
    ...facts.map(([name, value]) => `  ${name.padEnd(10)}  ${value}`),
    "",
    "To whoever trusts the verifier key it proves:",
    ...bulletLines(provenBy(receipt, keyWasGiven)),
    ...(closedAtSize === undefined ? [] : bulletLines(countedAt(closedAtSize, origin))),
    "",
    "It does not prove:",
    ...bulletLines(unprovenByReceipt(keyWasGiven)),
  ];
  return lines.map(plainText);
}

function provenBy({ entry, index, checkpoint }: CheckedReceipt, keyWasGiven: boolean): string[] {
  const whose = keyWasGiven
    ? "It is of the vote that was cast with the idempotency key given, and so of no other voter's."
    : "Whose vote that is, the file alone does not say: with --key, that of the vote, it does.";
  return [
    `The log ${checkpoint.origin}, as signed at ${formatLeaves(checkpoint.size)}, contains at leaf ` +
      `${formatCount(index)} a vote in election ${entry.electionId}, with this definition, of this (pseudonymous) voter.`,
    whose,
    "Were that vote changed or removed, the log would contradict this signature, and this file would show it.",
  ];
}

function countedAt(closedAtSize: number, origin: string): string[] {
  return [
    `The signed result counts this log up to ${formatLeaves(closedAtSize)}, this one among them, if the log of the ` +
      `result and that of the receipt are one: a consistency proof of ${origin}, or an audit, shows that.`,
  ];
}

function unprovenByReceipt(keyWasGiven: boolean): string[] {
  return [
    "How the vote was cast. The leaf holds the choice only as a sealed commitment, so a receipt shows it to nobody.",
    "That the tally counts what the log holds: that is what `urna audit` recomputes.",
    "That no voters were invented. That needs the list of who took part to be audited.",
    "That the machine that cast the vote sent what its user wanted.",
    "That the key is the right one. It must come from a place that you trust, and not with this file.",
    ...(keyWasGiven ? [] : ["That it is your receipt, and not another voter's."]),
  ];
}

export function checkedReceiptJson(receipt: CheckedReceipt, keyWasGiven: boolean) {
  const { entry, index, checkpoint, verifierKey, closedAtSize } = receipt;
  return {
    verified: true,
    kind: "receipt",
    election_id: entry.electionId,
    definition_hash: hex(entry.definitionHash),
    log_origin: checkpoint.origin,
    tree_size: checkpoint.size,
    root: encodeBase64(checkpoint.root),
    verifier_key: verifierKey,
    leaf_index: index,
    voter_pseudonym: hex(entry.nullifier),
    key_hash: hex(entry.keyHash),
    key_matches: keyWasGiven ? true : null,
    closed_at_size: closedAtSize ?? null,
    not_proven: unprovenByReceipt(keyWasGiven),
  };
}

/** Zeros stand for a vote without a key. */
function keyHashText(keyHash: Uint8Array): string {
  return keyHash.every((byte) => byte === 0) ? "none: the vote was cast without an idempotency key" : hex(keyHash);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
