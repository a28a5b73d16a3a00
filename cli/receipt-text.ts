/** A receipt for people. */
import type { Receipt } from "#proto/generated/urna/v1/vote_pb.js";
import { formatCount } from "./number-format.ts";
import { plainText } from "./text-table.ts";

export function receiptLines(receipt: Receipt | undefined): string[] {
  if (receipt === undefined) throw new Error("the router answered without a receipt");
  return [
    `receipt   ${plainText(receipt.receiptId)}`,
    `election  ${plainText(receipt.electionId)}`,
    `log       ${plainText(receipt.logOrigin)}, leaf ${formatCount(receipt.leafIndex)}`,
  ];
}
