/**
 * Whether a vote fits its election's definition, and its canonical ballot if it does. Every refusal names the field. It runs
 * for each vote of every call, so it allocates nothing but the ballot, and no voter ID ever gets into a message.
 */
import type { ContestShape, ElectionShape } from "#proto/election-shape.ts";
import { KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import {
  contestsMax,
  idempotencyKeyBytesMax,
  idempotencyKeyBytesMin,
  optionsPerContestMax,
  voterIdBytesMax,
} from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { ReceivedVotes } from "./received-votes.ts";
import { voterKind } from "./received-votes.ts";

const quotedLengthMax = 80;

/** The option cells of the vote that is being checked, ascending. One vote is checked at a time. */
const cells = new Uint16Array(contestsMax * optionsPerContestMax);
let cellCount = 0;

/**
 * The ordinal of the vote's leaf region. Throws RejectionError INVALID_BALLOT. The ballot is then taken with `ballotBytes` and
 * `writeBallot`, before the next check.
 */
export function checkBallot(shape: ElectionShape, votes: ReceivedVotes, at: number): number {
  checkVoterId(shape, votes, at);
  checkKey(votes.keyLengths[at] ?? 0);
  const regionId = votes.regionIds[at] ?? "";
  const region = shape.leafOrdinals.get(regionId);
  if (region === undefined) throw noLeaf(shape, regionId);
  cellCount = 0;
  const first = votes.firstSelection(at);
  const end = votes.selectionEnds[at] ?? 0;
  for (let selection = first; selection < end; selection++) checkSelection(shape, region, votes, first, selection);
  return region;
}

/** Bytes of the canonical ballot of the vote that was checked last. */
export function ballotBytes(): number {
  return cellCount * 2;
}

/** Writes the canonical ballot (see proto/election-shape.ts) of the vote that was checked last. */
export function writeBallot(target: Uint8Array, offset: number): void {
  let at = offset;
  for (let i = 0; i < cellCount; i++) {
    const cell = cells[i] ?? 0;
    target[at++] = cell >> 8;
    target[at++] = cell & 0xff;
  }
}

/** Also for the calls that name a voter without a ballot. */
export function checkVoterId(shape: ElectionShape, votes: ReceivedVotes, at: number): void {
  const wanted = shape.definition.keyKind === KeyKind.BALLOT ? voterKind.ballotId : voterKind.voterId;
  const kind = votes.voterKinds[at];
  if (kind === wanted && isVisibleAscii(votes.bytes, votes.voterStarts[at] ?? 0, votes.voterEnds[at] ?? 0)) return;
  const field = wanted === voterKind.ballotId ? "ballot_id" : "voter_id";
  if (kind === voterKind.none) throw invalid(`${field} is missing`);
  if (kind !== wanted) throw invalid(`voter: this election takes a ${field}, not the other kind`);
  throw invalid(`${field} must be 1 to ${voterIdBytesMax} visible ASCII characters without spaces`);
}

function isVisibleAscii(bytes: Uint8Array, start: number, end: number): boolean {
  if (end === start || end - start > voterIdBytesMax) return false;
  for (let i = start; i < end; i++) {
    const byte = bytes[i] ?? 0;
    if (byte < 0x21 || byte > 0x7e) return false;
  }
  return true;
}

function checkKey(length: number): void {
  if (length === 0 || (length >= idempotencyKeyBytesMin && length <= idempotencyKeyBytesMax)) return;
  const range = `${idempotencyKeyBytesMin} to ${idempotencyKeyBytesMax}`;
  throw invalid(`idempotency_key must have ${range} bytes, or be left out; it has ${length}`);
}

function noLeaf(shape: ElectionShape, regionId: string): RejectionError {
  return shape.branches.has(regionId)
    ? invalid(`region_id ${quoted(regionId)} is not a leaf of the election's regions`)
    : invalid(`region_id ${quoted(regionId)} is not one of the election's regions`);
}

/** `first`: the vote's first selection. */
function checkSelection(
  shape: ElectionShape,
  region: number,
  votes: ReceivedVotes,
  first: number,
  selection: number,
): void {
  const contestId = votes.contestIds[selection] ?? "";
  const contest = shape.contests.get(contestId);
  if (contest === undefined) throw invalid(`contest_id ${quoted(contestId)} is not one of the election's contests`);
  // There are at most as many as contests before a repeated one is met, so this stays short.
  for (let earlier = first; earlier < selection; earlier++) {
    if (votes.contestIds[earlier] === contestId) throw invalid(`contest_id ${quoted(contestId)} is there twice`);
  }
  if (contest.onBallot[region] !== 1) {
    throw invalid(`contest_id ${quoted(contestId)} is not on the ballot of this region`);
  }
  const firstOption = votes.firstOption(selection);
  const end = votes.optionEnds[selection] ?? 0;
  if (end - firstOption > contest.selectionsMax) {
    const made = `${end - firstOption} selections; at most ${contest.selectionsMax} are allowed`;
    throw invalid(`option_ids of contest_id ${quoted(contestId)}: ${made}`);
  }
  for (let option = firstOption; option < end; option++) addCell(contest, votes.optionIds[option] ?? "");
}

function addCell(contest: ContestShape, optionId: string): void {
  const cell = contest.optionCells.get(optionId);
  if (cell === undefined) {
    throw invalid(`option_ids: ${quoted(optionId)} is not an option of contest ${quoted(contest.contestId)}`);
  }
  let at = cellCount;
  for (; at > 0; at--) {
    const before = cells[at - 1] ?? 0;
    if (before === cell) throw invalid(`option_ids: ${quoted(optionId)} is there twice`);
    if (before < cell) break;
    cells[at] = before;
  }
  cells[at] = cell;
  cellCount += 1;
}

function invalid(message: string): RejectionError {
  return new RejectionError("INVALID_BALLOT", message);
}

/** Callers' own words, cut short: a message must not carry a megabyte back. */
function quoted(text: string): string {
  return JSON.stringify(text.length <= quotedLengthMax ? text : `${text.slice(0, quotedLengthMax)}…`);
}
