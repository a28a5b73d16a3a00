/** One shard against itself: rows, batch log, count deltas and head tell one story (A5, A6, I10). */
import type { Findings } from "#bench/checker-findings.ts";
import { checkLedger } from "#bench/checker-ledger.ts";
import type { ShardState, StoredBatch, StoredVote } from "#bench/checker-shard.ts";

export function checkLog(findings: Findings, shard: ShardState): void {
  checkBatches(findings, shard);
  checkLeaves(findings, shard);
  checkLedger(findings, shard);
  checkDeltas(findings, shard);
  checkElections(findings, shard);
}

function checkBatches(
  findings: Findings,
  { logOrigin, batches, batchNumber, treeSize, writerEpoch }: ShardState,
): void {
  const ids = new Set<string>();
  let previous: StoredBatch | undefined;
  for (const batch of batches) {
    const name = `${logOrigin} batch ${batch.number}`;
    const demand = (holds: boolean, what: string) => findings.demand("A6", holds, () => `${name}: ${what}`);
    demand(batch.number === (previous?.number ?? 0) + 1, `follows ${previous?.number ?? "nothing"}`);
    demand(!ids.has(batch.batchId), "its id is another batch's too");
    ids.add(batch.batchId);
    demand(batch.treeSize === (previous?.treeSize ?? 0) + batch.votes, `tree size ${batch.treeSize}`);
    demand(batch.writerEpoch >= (previous?.writerEpoch ?? 1), `epoch ${batch.writerEpoch} after a later one`);
    demand(batch.stampMs >= (previous?.stampMs ?? Number.NEGATIVE_INFINITY), "its stamp is before the one before");
    previous = batch;
  }
  const last = previous?.number ?? 0;
  findings.demand("A6", last === batchNumber, () => `${logOrigin}: head at batch ${batchNumber}, log at ${last}`);
  const size = previous?.treeSize ?? 0;
  findings.demand("A6", size === treeSize, () => `${logOrigin}: head's tree size ${treeSize}, the log's ${size}`);
  const epoch = previous?.writerEpoch ?? 0;
  findings.demand("A6", epoch <= writerEpoch, () => `${logOrigin}: a batch of epoch ${epoch}, head at ${writerEpoch}`);
}

/** Leaves are dense from 0, in batch order; within a batch election by election, in nullifier order. */
function checkLeaves(findings: Findings, { logOrigin, votes, treeSize, batches }: ShardState): void {
  findings.demand("A6", votes.length === treeSize, () => `${logOrigin}: ${votes.length} rows, tree size ${treeSize}`);
  const byLeaf = votes.toSorted((a, b) => a.leafIndex - b.leafIndex);
  const rowsOfBatch = new Map<number, number>();
  let previous: StoredVote | undefined;
  for (const [position, vote] of byLeaf.entries()) {
    const where = () => `${logOrigin} leaf ${vote.leafIndex}`;
    findings.demand("A6", vote.leafIndex === position, () => `${where()}: is number ${position}`);
    const inOrder =
      previous === undefined ||
      previous.batch < vote.batch ||
      (previous.batch === vote.batch && placeInBatch(previous) < placeInBatch(vote));
    findings.demand("A6", inOrder, () => `${where()}: out of order within batches ${previous?.batch}, ${vote.batch}`);
    rowsOfBatch.set(vote.batch, (rowsOfBatch.get(vote.batch) ?? 0) + 1);
    previous = vote;
  }
  for (const batch of batches) {
    const rows = rowsOfBatch.get(batch.number) ?? 0;
    findings.demand(
      "A6",
      rows === batch.votes,
      () => `${logOrigin} batch ${batch.number}: ${batch.votes} votes, ${rows} rows`,
    );
    rowsOfBatch.delete(batch.number);
  }
  for (const number of rowsOfBatch.keys())
    findings.add("A6", `${logOrigin}: rows of batch ${number}, which is not there`);
}

function placeInBatch({ election, nullifier }: StoredVote): string {
  return `${String(election).padStart(10, "0")} ${nullifier}`;
}

/** Count deltas of each batch equal what its rows count (I5). */
function checkDeltas(findings: Findings, shard: ShardState): void {
  const counted = new Map<string, number>();
  const add = (batch: number, election: number, region: number, cell: number, n: number) => {
    const key = `${batch} ${election} ${region} ${cell}`;
    const sum = (counted.get(key) ?? 0) + n;
    if (sum === 0) counted.delete(key);
    else counted.set(key, sum);
  };
  for (const { leafIndex, batch, election, region, ballot } of shard.votes) {
    const counts = shard.elections.get(election)?.reading.counts(region, ballot);
    if (counts === undefined) findings.add("A5", `${shard.logOrigin} leaf ${leafIndex}: not a ballot of its election`);
    else for (const [cell, n] of counts) add(batch, election, region, cell, n);
  }
  for (const { number, elections, regions, cells, n } of shard.batches) {
    const sizes = new Set([elections.length, regions.length, cells.length, n.length]);
    findings.demand("A5", sizes.size === 1, () => `${shard.logOrigin} batch ${number}: ragged count arrays`);
    for (const [i, election] of elections.entries())
      add(number, election, regions[i] ?? -1, cells[i] ?? -1, -(n[i] ?? 0));
  }
  for (const [key, n] of counted) {
    findings.add("A5", `${shard.logOrigin} (batch election region cell) ${key}: rows and deltas differ by ${n}`);
  }
}

function checkElections(findings: Findings, { logOrigin, elections, votes }: ShardState): void {
  for (const { electionId, definitionHash, reading } of elections.values()) {
    findings.demand("A3", reading.electionId === electionId && reading.definitionHash === definitionHash, () => {
      return `${logOrigin}: the definition of ${electionId} is not the one that was hashed`;
    });
  }
  for (const { leafIndex, batch, election } of votes) {
    const stored = elections.get(election);
    const inTime =
      stored !== undefined &&
      stored.openBatch > 0 &&
      batch > stored.openBatch &&
      (stored.closeBatch === 0 || batch < stored.closeBatch);
    findings.demand("I10", inTime, () => {
      return `${logOrigin} leaf ${leafIndex}: batch ${batch}, open ${stored?.openBatch}, closed ${stored?.closeBatch}`;
    });
  }
}
