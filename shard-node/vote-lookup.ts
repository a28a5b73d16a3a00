/** Which of these voters have voted already. What it finds is revealed only after the batch that asked is durable. */
import type pg from "pg";
import { nullifierBytes } from "#proto/limits.ts";
import { uuidArray } from "./binary-array.ts";
import type { ElectionBook } from "./election-book.ts";
import { inNullifierOrder } from "./nullifier-order.ts";
import type { WaitingVote } from "./vote-frame.ts";

export type ExistingVote = {
  readonly keyHash: Buffer;
  readonly region: number;
  readonly ballot: Buffer;
  readonly leafIndex: number;
  readonly batch: number;
};

type FoundRow = {
  readonly ord: number;
  readonly key_hash: Buffer;
  readonly region: number;
  readonly ballot: Buffer;
  readonly leaf_index: string;
  readonly batch_number: string;
};

/** Votes of elections that are not in the book are not found; nor is anybody asked about voters who are certainly new. */
export async function lookUpVotes(
  client: pg.Client,
  book: ElectionBook,
  votes: readonly WaitingVote[],
): Promise<Map<WaitingVote, ExistingVote>> {
  const existing = new Map<WaitingVote, ExistingVote>();
  const groups = Map.groupBy(votes.filter(mayHaveVoted(book)), (vote) => vote.frame.electionId);
  const lookups = [...groups].map(async ([electionId, group]) => {
    const election = book.entry(electionId);
    if (election !== undefined) await lookUp(client, election.number, group, existing);
  });
  await Promise.all(lookups);
  return existing;
}

/** Of a closed election everybody is looked up: no unique key stands behind an answer that the election is closed (I3). */
function mayHaveVoted(book: ElectionBook): (vote: WaitingVote) => boolean {
  return ({ frame, index }) => {
    const election = book.entry(frame.electionId);
    if (election === undefined || election.closeBatch > 0) return true;
    return election.voters.mayHaveVoted(frame.nullifiers, index * nullifierBytes);
  };
}

/** Sorted, so that neighbours in the index are looked up one after the other. */
async function lookUp(
  client: pg.Client,
  electionNumber: number,
  group: readonly WaitingVote[],
  existing: Map<WaitingVote, ExistingVote>,
): Promise<void> {
  const asked = inNullifierOrder(group);
  const { rows } = await client.query<FoundRow>({
    name: `look-up-${electionNumber}`,
    text: `SELECT k.ord::int AS ord, uuid_send(v.key_hash) AS key_hash, v.region, v.ballot, v.leaf_index, v.batch_number
           FROM unnest($1::uuid[]) WITH ORDINALITY AS k (nullifier, ord)
           JOIN urna.votes_${electionNumber} v ON v.nullifier = k.nullifier`,
    values: [uuidArray(asked.map(({ nullifier }) => nullifier))],
  });
  for (const row of rows) {
    const vote = asked[row.ord - 1];
    if (vote === undefined) throw new Error("the look-up answered for a vote that was not asked for");
    existing.set(vote, {
      keyHash: row.key_hash,
      region: row.region,
      ballot: row.ballot,
      leafIndex: Number(row.leaf_index),
      batch: Number(row.batch_number),
    });
  }
}
