/**
 * A row of votes as a binary COPY brings it. All fields but the last have fixed widths and none is NULL, so each stands at a
 * fixed place: a row that is otherwise is none that Urna has stored.
 */
import { nonceBytes } from "#proto/ledger/leaf-entry.ts";
import { keyHashBytes, nullifierBytes } from "#proto/limits.ts";
import { readInt8 } from "./field-cursor.ts";

/** In the order of the places below. */
export const voteColumns = "leaf_index, batch_number, election_number, region, nullifier, key_hash, nonce, ballot";
const fieldCount = 8;

const countBytes = 2;
const lengthBytes = 4;

export const leafAt = countBytes + lengthBytes;
export const batchAt = leafAt + 8 + lengthBytes;
export const electionAt = batchAt + 8 + lengthBytes;
export const regionAt = electionAt + 4 + lengthBytes;
export const nullifierAt = regionAt + 4 + lengthBytes;
export const keyHashAt = nullifierAt + nullifierBytes + lengthBytes;
export const nonceAt = keyHashAt + keyHashBytes + lengthBytes;
export const ballotAt = nonceAt + nonceBytes + lengthBytes;

const widths: readonly (readonly [at: number, bytes: number])[] = [
  [leafAt, 8],
  [batchAt, 8],
  [electionAt, 4],
  [regionAt, 4],
  [nullifierAt, nullifierBytes],
  [keyHashAt, keyHashBytes],
  [nonceAt, nonceBytes],
];

/** Whether every field is there and has its width. The ballot, which is last, takes what is left. */
export function isWholeRow(row: Buffer): boolean {
  if (row.length < ballotAt || row.readInt16BE(0) !== fieldCount) return false;
  for (let i = 0; i < widths.length; i++) {
    const [at, bytes] = widths[i] as (typeof widths)[number];
    if (row.readInt32BE(at - lengthBytes) !== bytes) return false;
  }
  return row.readInt32BE(ballotAt - lengthBytes) === row.length - ballotAt;
}

/** The leaf that a row claims which is not whole; undefined when that is not to be had either. */
export function claimedLeaf(row: Buffer): number | undefined {
  const isThere = row.length >= leafAt + 8 && row.readInt32BE(leafAt - lengthBytes) === 8;
  return isThere ? readInt8(row, leafAt) : undefined;
}
