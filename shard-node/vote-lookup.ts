/** Which of these voters have voted already. What it finds is revealed only after the batch that asked is durable. */
import type pg from "pg";
import { uuidArray } from "./binary-array.ts";
import type { ElectionBook } from "./election-book.ts";
import type { WaitingVote } from "./vote-frame.ts";

export type ExistingVote = {
  readonly keyHash: string;
  readonly region: number;
  readonly ballot: string;
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

/** Votes of elections that are not in the book are not found. */
export async function lookUpVotes(
  client: pg.Client,
  book: ElectionBook,
  votes: readonly WaitingVote[],
): Promise<Map<WaitingVote, ExistingVote>> {
  const existing = new Map<WaitingVote, ExistingVote>();
  const groups = Map.groupBy(votes, (vote) => vote.frame.electionId);
  const lookups = [...groups].map(async ([electionId, group]) => {
    const election = book.entry(electionId);
    if (election === undefined) return;
    const { rows } = await client.query<FoundRow>({
      name: `look-up-${election.number}`,
      text: `SELECT k.ord::int AS ord, uuid_send(v.key_hash) AS key_hash, v.region, v.ballot, v.leaf_index, v.batch_number
             FROM unnest($1::uuid[]) WITH ORDINALITY AS k (nullifier, ord)
             JOIN urna.votes_${election.number} v ON v.nullifier = k.nullifier`,
      values: [uuidArray(group.map((vote) => vote.nullifier))],
    });
    for (const row of rows) {
      const vote = group[row.ord - 1];
      if (vote === undefined) throw new Error("the look-up answered for a vote that was not asked for");
      existing.set(vote, {
        keyHash: row.key_hash.toString("latin1"),
        region: row.region,
        ballot: row.ballot.toString("latin1"),
        leafIndex: Number(row.leaf_index),
        batch: Number(row.batch_number),
      });
    }
  });
  await Promise.all(lookups);
  return existing;
}
