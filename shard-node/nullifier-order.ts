/**
 * Votes in nullifier order. A batch of thousands is sorted in every commit, so the first four bytes of each nullifier and
 * its place are packed into one double, which sorts natively; the rest of the bytes is looked at only where those are equal.
 */
import { nullifierBytes } from "#proto/limits.ts";
import type { WaitingVote } from "./vote-frame.ts";

/** Places that fit a double beside 32 bits. */
const places = 2 ** 20;

/** Stable: votes of one voter stay in their order. */
export function inNullifierOrder(votes: readonly WaitingVote[]): WaitingVote[] {
  if (votes.length > places) throw new RangeError(`a batch of ${votes.length} votes is more than can be sorted`);
  const keys = new Float64Array(votes.length);
  for (let i = 0; i < votes.length; i++) {
    const vote = votes[i] as WaitingVote;
    keys[i] = vote.frame.nullifiers.readUInt32BE(vote.index * nullifierBytes) * places + i;
  }
  keys.sort();
  const sorted = new Array<WaitingVote>(votes.length);
  for (let i = 0; i < keys.length; i++) sorted[i] = votes[(keys[i] as number) % places] as WaitingVote;
  settleTies(sorted, keys);
  return sorted;
}

/** Insertion sort of the runs whose first four bytes are equal: one vote long, as a rule. */
function settleTies(sorted: WaitingVote[], keys: Float64Array): void {
  for (let i = 1; i < sorted.length; i++) {
    if (headOf(keys, i) !== headOf(keys, i - 1)) continue;
    const vote = sorted[i] as WaitingVote;
    let at = i;
    for (; at > 0 && headOf(keys, at - 1) === headOf(keys, i); at--) {
      const before = sorted[at - 1] as WaitingVote;
      if (compareNullifiers(before, vote) <= 0) break;
      sorted[at] = before;
    }
    sorted[at] = vote;
  }
}

function headOf(keys: Float64Array, i: number): number {
  return Math.floor((keys[i] as number) / places);
}

/** Below 0, 0 or above, as `a` stands before `b`, is of the same voter, or stands after. */
export function compareNullifiers(a: WaitingVote, b: WaitingVote): number {
  const start = a.index * nullifierBytes;
  const other = b.index * nullifierBytes;
  return a.frame.nullifiers.compare(b.frame.nullifiers, other, other + nullifierBytes, start, start + nullifierBytes);
}

/** Quicker than `compareNullifiers` where the two are nearly always different. */
export function sameVoter(a: WaitingVote, b: WaitingVote): boolean {
  const first = a.frame.nullifiers.readUInt32BE(a.index * nullifierBytes);
  if (first !== b.frame.nullifiers.readUInt32BE(b.index * nullifierBytes)) return false;
  return compareNullifiers(a, b) === 0;
}
