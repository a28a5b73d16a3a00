/**
 * What an audit can find: one closed list, with a sentence for each kind. A finding names the shard, and the leaf or the
 * batch, wherever it is about one.
 */

export const findingKinds = {
  // Rows of votes against the leaves that were made of them.
  ROW_CHANGED:
    "A row of votes is not what its leaf was made of: ballot, region, nonce, key, voter or place were changed.",
  ROW_MISSING: "A leaf has no row: an acknowledged vote was deleted.",
  ROW_DOUBLED: "Two rows claim one leaf: one of them was inserted.",
  ROW_BEYOND_LOG: "A row claims a leaf or a batch that the log does not reach: it was inserted.",
  ROW_MISPLACED: "A row names another batch than the one whose leaves it is among.",
  ROW_UNREADABLE: "A row has a value that no vote can have.",
  BALLOT_INVALID: "A row holds what is no ballot of its election and region.",
  ELECTION_UNKNOWN: "A row is of an election that its shard does not know.",
  SLOT_NOT_OWNED: "A row is on a shard that does not own the slot of its voter.",
  VOTED_TWICE: "Two rows are of one voter of one election.",
  VOTE_OUT_OF_TIME: "A vote stands in a batch in which its election was not open.",
  // The batch log, and what is stored of the tree.
  BATCH_MISSING: "A batch is missing from the log.",
  BATCH_BROKEN: "A batch does not follow from the one before: its size, stamp or writer epoch contradicts it.",
  LEAVES_OUT_OF_ORDER: "The leaves of a batch are not in the order of elections and voters.",
  LEAF_NULLIFIER_CHANGED: "A batch names another voter for a leaf than the leaf's row.",
  COUNTS_CHANGED: "The counts of a batch are not those of its rows.",
  ROOT_CHANGED: "The root of a batch is not the one that its leaves lead to.",
  TILE_CHANGED: "A stored tile of the tree is not what the leaves give, or is missing.",
  TAIL_CHANGED: "The leaf hashes that a batch keeps are not those of its leaves.",
  HEAD_CHANGED: "The head of a shard contradicts its log.",
  CONTROL_CHANGED: "An election was not opened or closed where the log says so.",
  DEFINITION_CHANGED: "The definition of an election is not the one that was voted on.",
  SLOTS_CHANGED: "A slot has no owner, or more than one.",
  // What is known outside the database.
  LEAVES_MISSING: "The log is shorter than a signed checkpoint: acknowledged votes are missing.",
  CHECKPOINT_CONTRADICTED: "The leaves do not lead to a root that was signed: the log was rewritten.",
  CHECKPOINTS_CONTRADICT: "Two different roots were signed for one size of one log: one of the logs is forged.",
  CHECKPOINT_UNREADABLE: "What should be a signed checkpoint is none.",
  CHECKPOINT_MISSING: "Nothing that was signed is known of a log: only the database vouches for it.",
  KEY_CHANGED: "A shard signs with another key than the one that is trusted.",
  LOSS_ACCEPTED:
    "A log does not contain what was signed under an earlier name of it: an operator has accepted the loss.",
  TALLY_DIFFERS: "The published tally is not what the rows count, at the tally's own cut.",
  RESULT_DIFFERS: "A signed result is not what the rows count.",
} as const;

export type FindingKind = keyof typeof findingKinds;

export type Finding = {
  readonly kind: FindingKind;
  /** Absent where it is about no single shard. */
  readonly shardId?: number;
  readonly leaf?: number;
  /** The last leaf, where it is about more than one, or about one of them. */
  readonly throughLeaf?: number;
  readonly batch?: number;
  readonly throughBatch?: number;
  readonly electionId?: string;
  /** What is wrong, in words. */
  readonly detail: string;
};

/** "shard 1, leaf 7, batch 3: …" */
export function describeFinding(finding: Finding): string {
  const { shardId, leaf, throughLeaf, batch, throughBatch, electionId, detail } = finding;
  const where = [
    shardId === undefined ? "" : `shard ${shardId}`,
    electionId === undefined ? "" : `election ${electionId}`,
    spanText("leaf", "leaves", leaf, throughLeaf),
    spanText("batch", "batches", batch, throughBatch),
  ].filter((part) => part !== "");
  return `${where.join(", ")}${where.length === 0 ? "" : ": "}${detail}`;
}

function spanText(one: string, many: string, first: number | undefined, last = first): string {
  if (first === undefined || last === undefined) return "";
  return first === last ? `${one} ${first}` : `${many} ${first} to ${last}`;
}
