/**
 * Whether a vote fits its election's definition, and its canonical ballot if it does. Every refusal names the field. It runs
 * for each vote of every call, so it allocates nothing but the ballot, and no voter ID ever gets into a message.
 */
import type { ContestShape, ElectionShape } from "#proto/election-shape.ts";
import { KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import type { Selection, Vote } from "#proto/generated/urna/v1/vote_pb.js";
import {
  contestsMax,
  idempotencyKeyBytesMax,
  idempotencyKeyBytesMin,
  optionsPerContestMax,
  voterIdBytesMax,
} from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

const visibleAscii = new RegExp(`^[!-~]{1,${voterIdBytesMax}}$`);
const quotedLengthMax = 80;

/** The option cells of the vote that is being checked, ascending. One vote is checked at a time. */
const cells = new Uint16Array(contestsMax * optionsPerContestMax);
let cellCount = 0;

export type BallotForm = {
  /** The voter ID or ballot ID, whichever the election wants. */
  readonly voterId: string;
  /** Ordinal of the leaf region. */
  readonly region: number;
};

/** Throws RejectionError INVALID_BALLOT. The ballot is then taken with `ballotBytes` and `writeBallot`, before the next check. */
export function checkBallot(shape: ElectionShape, vote: Vote): BallotForm {
  const voterId = checkVoterId(shape, vote);
  checkKey(vote.idempotencyKey);
  const region = shape.leafOrdinals.get(vote.regionId);
  if (region === undefined) throw noLeaf(shape, vote.regionId);
  cellCount = 0;
  const { selections } = vote;
  for (let i = 0; i < selections.length; i++) {
    const selection = selections[i];
    if (selection !== undefined) checkSelection(shape, region, selections, selection, i);
  }
  return { voterId, region };
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

/** Also for the calls that name a voter without a ballot. Returns the ID. */
export function checkVoterId(shape: ElectionShape, { voter }: Pick<Vote, "voter">): string {
  const wanted = shape.definition.keyKind === KeyKind.BALLOT ? "ballotId" : "voterId";
  const field = wanted === "ballotId" ? "ballot_id" : "voter_id";
  if (voter.case === undefined) throw invalid(`${field} is missing`);
  if (voter.case !== wanted) throw invalid(`voter: this election takes a ${field}, not the other kind`);
  if (!visibleAscii.test(voter.value)) {
    throw invalid(`${field} must be 1 to ${voterIdBytesMax} visible ASCII characters without spaces`);
  }
  return voter.value;
}

function checkKey({ length }: Uint8Array): void {
  if (length === 0 || (length >= idempotencyKeyBytesMin && length <= idempotencyKeyBytesMax)) return;
  const range = `${idempotencyKeyBytesMin} to ${idempotencyKeyBytesMax}`;
  throw invalid(`idempotency_key must have ${range} bytes, or be left out; it has ${length}`);
}

function noLeaf(shape: ElectionShape, regionId: string): RejectionError {
  return shape.branches.has(regionId)
    ? invalid(`region_id ${quoted(regionId)} is not a leaf of the election's regions`)
    : invalid(`region_id ${quoted(regionId)} is not one of the election's regions`);
}

function checkSelection(
  shape: ElectionShape,
  region: number,
  selections: readonly Selection[],
  { contestId, optionIds }: Selection,
  index: number,
): void {
  const contest = shape.contests.get(contestId);
  if (contest === undefined) throw invalid(`contest_id ${quoted(contestId)} is not one of the election's contests`);
  // There are at most as many as contests before a repeated one is met, so this stays short.
  for (let earlier = 0; earlier < index; earlier++) {
    if (selections[earlier]?.contestId === contestId) throw invalid(`contest_id ${quoted(contestId)} is there twice`);
  }
  if (contest.onBallot[region] !== 1) {
    throw invalid(`contest_id ${quoted(contestId)} is not on the ballot of this region`);
  }
  if (optionIds.length > contest.selectionsMax) {
    const at = `contest_id ${quoted(contestId)}`;
    throw invalid(`option_ids of ${at}: ${optionIds.length} selections; at most ${contest.selectionsMax} are allowed`);
  }
  for (const optionId of optionIds) addCell(contest, optionId);
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
