/**
 * Proofs and entries of the shard's ledger, read from its tables up to the durable mark. Each reads O(log n) small rows, of a
 * log of any length.
 */
import type pg from "pg";
import { ballotCommitment, encodeLeafEntry } from "#proto/ledger/leaf-entry.ts";
import { nullifierBytes } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import type { ElectionBook } from "./election-book.ts";
import { storedProofs } from "./tile-store.ts";

/**
 * What may be asked about: `durableSize` leaves. Numbers come from the wire, so they may be anything. Throws RejectionError
 * INVALID_REQUEST for what no log can answer, NOT_FOUND for what this one does not reach.
 */
export function demandLeaf(leafIndex: bigint, treeSize: bigint, durableSize: number): void {
  demandSize("tree_size", treeSize, durableSize);
  if (leafIndex < treeSize) return;
  throw new RejectionError("INVALID_REQUEST", `leaf_index ${leafIndex} is beyond a tree of ${treeSize} leaves`);
}

/** As `demandLeaf`, for a consistency proof. */
export function demandSizes(oldSize: bigint, newSize: bigint, durableSize: number): void {
  demandSize("new_size", newSize, durableSize);
  if (oldSize > newSize) {
    throw new RejectionError("INVALID_REQUEST", `old_size ${oldSize} is larger than new_size ${newSize}`);
  }
  if (oldSize === 0n) throw new RejectionError("INVALID_REQUEST", "old_size is 0: every tree grows from the empty one");
}

function demandSize(field: string, size: bigint, durableSize: number): void {
  if (size === 0n) throw new RejectionError("INVALID_REQUEST", `${field} is 0: an empty tree proves nothing`);
  if (size <= BigInt(durableSize)) return;
  throw new RejectionError("NOT_FOUND", `${field} ${size} is beyond this log, which has ${durableSize} leaves`);
}

export async function proveInclusion(client: pg.Client, book: ElectionBook, leafIndex: number, treeSize: number) {
  const entry = await readEntry(client, book, leafIndex);
  return { hashes: await storedProofs(client).inclusion(leafIndex, treeSize), entry };
}

export async function proveConsistency(client: pg.Client, oldSize: number, newSize: number) {
  return { hashes: await storedProofs(client).consistency(oldSize, newSize) };
}

type LeafRow = { readonly nullifier: Buffer; readonly elections: number[] };

type VoteRow = {
  readonly key_hash: Buffer;
  readonly nonce: Buffer;
  readonly ballot: Buffer;
  readonly region: number;
  readonly election_number: number;
};

/**
 * The leaf's entry, made again from its row. Only whoever may read the row can open the commitment in it: nonce, ballot and
 * region do not leave this function.
 */
async function readEntry(client: pg.Client, book: ElectionBook, leafIndex: number): Promise<Buffer> {
  const leaf = await readLeaf(client, leafIndex);
  const vote = leaf === undefined ? undefined : await readVote(client, leaf, leafIndex);
  const election = vote === undefined ? undefined : book.byNumber(vote.election_number);
  if (leaf === undefined || vote === undefined || election === undefined) {
    throw new RejectionError("NOT_FOUND", `the vote of leaf ${leafIndex} is not where its batch says`);
  }
  return encodeLeafEntry({
    electionId: election.id,
    definitionHash: election.shape.definitionHash,
    nullifier: leaf.nullifier,
    keyHash: vote.key_hash,
    commitment: ballotCommitment(vote.nonce, vote.ballot, vote.region),
  });
}

async function readLeaf(client: pg.Client, leafIndex: number): Promise<LeafRow | undefined> {
  const { rows } = await client.query<LeafRow>({
    name: "leaf",
    text: `SELECT substring(leaf_nullifiers FROM ($1::int8 - tree_size + votes)::int * ${nullifierBytes} + 1
                            FOR ${nullifierBytes}) AS nullifier,
                  ARRAY(SELECT DISTINCT unnest(count_election)) AS elections
           FROM urna.batches WHERE votes > 0 AND tree_size > $1 ORDER BY tree_size LIMIT 1`,
    values: [leafIndex],
  });
  return rows[0];
}

async function readVote(client: pg.Client, leaf: LeafRow, leafIndex: number): Promise<VoteRow | undefined> {
  for (const number of leaf.elections) {
    const { rows } = await client.query<VoteRow>({
      name: `vote-${number}`,
      text: `SELECT uuid_send(key_hash) AS key_hash, uuid_send(nonce) AS nonce, ballot, region, election_number
             FROM urna.votes_${number} WHERE nullifier = $1 AND leaf_index = $2`,
      values: [leaf.nullifier.toString("hex"), leafIndex],
    });
    if (rows[0] !== undefined) return rows[0];
  }
  return undefined;
}
