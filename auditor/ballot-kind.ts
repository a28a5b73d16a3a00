/** Ballots that are alike, in one region of one election: what each of them adds to the counts. */
import { ballotCounts, decodeBallot, type ElectionShape } from "#proto/election-shape.ts";
import type { AuditedElection } from "./audited-election.ts";

export type BallotKind = {
  readonly election: AuditedElection;
  readonly region: number;
  /** n[i] to cells[i]; nothing where it is no ballot. */
  readonly cells: readonly number[];
  readonly n: readonly number[];
  /** Whether it is a ballot of this region, or there is no definition by which to tell. */
  readonly isBallot: boolean;
  /** How many of them are in the batch that is being counted; 0 between batches. */
  votes: number;
};

/** `shape` is undefined where the election's definition cannot be read. */
export function ballotKind(
  election: AuditedElection,
  shape: ElectionShape | undefined,
  region: number,
  ballot: Uint8Array,
): BallotKind {
  const isBallot = shape === undefined || isCanonicalBallot(shape, region, ballot);
  const counts = shape !== undefined && isBallot ? [...ballotCounts(shape, region, ballot)] : [];
  return {
    election,
    region,
    cells: counts.map(([cell]) => cell),
    n: counts.map(([, n]) => n),
    isBallot,
    votes: 0,
  };
}

/** Selected options in ascending order, of contests on the region's ballot, and no more than may be selected of each. */
function isCanonicalBallot(shape: ElectionShape, region: number, ballot: Uint8Array): boolean {
  if (shape.leaves[region] === undefined || ballot.length % 2 !== 0) return false;
  const cells = decodeBallot(ballot);
  if (cells.some((cell, i) => i > 0 && cell <= (cells[i - 1] ?? 0))) return false;
  let explained = 0;
  for (const contest of shape.contests.values()) {
    const made = cells.filter((cell) => cell >= contest.firstCell && cell < contest.undervoteCell).length;
    if (made > contest.selectionsMax || (made > 0 && contest.onBallot[region] !== 1)) return false;
    explained += made;
  }
  return explained === cells.length;
}
