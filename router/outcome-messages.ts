/** Outcomes as messages, for calls that answer vote by vote. */
import { rejectionMessage } from "#mesh/rejection-status.ts";
import type { Outcome, Receipt, Rejection } from "#proto/generated/urna/v1/vote_pb.js";
import { formatReceiptId } from "#proto/receipt-id.ts";
import type { RejectionError } from "#proto/rejections.ts";
import type { ShardLog } from "./vote-table.ts";

// Literals: `create` copies field by field, and that shows at a hundred thousand votes a second.

export function receiptMessage(electionId: string, { shardId, origin }: ShardLog, leaf: number): Receipt {
  const leafIndex = BigInt(leaf);
  const receiptId = formatReceiptId({ shardId, leafIndex });
  return { $typeName: "urna.v1.Receipt", receiptId, electionId, logOrigin: origin, leafIndex };
}

export function receiptOutcome(receipt: Receipt, repeat: boolean): Outcome {
  return { $typeName: "urna.v1.Outcome", result: { case: "receipt", value: receipt }, repeat };
}

/** A rejection that many votes share is turned into its message once. */
const messages = new WeakMap<RejectionError, Rejection>();

export function rejectionOutcome(rejection: RejectionError): Outcome {
  let value = messages.get(rejection);
  if (value === undefined) {
    value = rejectionMessage(rejection);
    messages.set(rejection, value);
  }
  return { $typeName: "urna.v1.Outcome", result: { case: "rejection", value }, repeat: false };
}
