/** What an audit concludes once all shards have been read: about voters, slots, tallies and results over all of them. */
import { slotCount } from "#proto/limits.ts";
import type { AuditedElection } from "./audited-election.ts";
import type { ElectionKeys } from "./election-keys.ts";
import type { FindingBook } from "./finding-book.ts";
import type { OutsideWord } from "./outside-word.ts";
import type { ShardOutcome } from "./shard-run.ts";
import type { ShardSketch } from "./shard-target.ts";
import { checkResult, checkTally } from "./tally-check.ts";
import type { VoterIndex } from "./voter-index.ts";
import type { WitnessRoster } from "./witness-roster.ts";

/** Every slot has one owner (I6). */
export function concludeSlots(sketches: readonly ShardSketch[], findings: FindingBook): void {
  const ownersOf = (slot: number) =>
    sketches.filter(({ ownSlots }) => ownSlots[slot] === 1).map(({ shardId }) => shardId);
  for (let first = 0; first < slotCount; ) {
    const owners = ownersOf(first);
    let end = first + 1;
    while (end < slotCount && ownersOf(end).join() === owners.join()) end += 1;
    const who = owners.length === 0 ? "no shard owns" : `shards ${owners.join(" and ")} each own`;
    findings.demand(owners.length === 1, () => ({
      kind: "SLOTS_CHANGED",
      ...(owners[0] === undefined ? {} : { shardId: owners[0] }),
      detail: `by their own word, ${who} slots ${first} to ${end - 1}`,
    }));
    first = end;
  }
}

/** Nobody has voted twice in one election, on whichever shards (I2). */
export function concludeVoters(voters: VoterIndex, keys: ElectionKeys, findings: FindingBook): void {
  for (const { first, second } of voters.doubles()) {
    const detail = `its voter has voted on shard ${first.shardId} too, with leaf ${first.leaf}`;
    findings.add({
      kind: "VOTED_TWICE",
      shardId: second.shardId,
      leaf: second.leaf,
      electionId: keys.idOf(second.election),
      detail,
    });
  }
}

/** Tallies and signed results are what the rows count (I7). */
export function concludeTotals(
  electionIds: readonly string[],
  word: OutsideWord,
  roster: WitnessRoster,
  outcomes: readonly ShardOutcome[],
  findings: FindingBook,
): void {
  for (const electionId of electionIds) {
    const onShards = outcomes.map((outcome) => ({ outcome, election: electionOf(outcome, electionId) }));
    const audited = onShards.flatMap(({ election }) => (election === undefined ? [] : [election]));
    const table = word.tallies.get(electionId);
    if (table !== undefined) checkTally(electionId, table, audited, findings);
    for (const { outcome, election } of onShards) {
      const { shardId, end } = outcome;
      for (const known of roster.of(shardId)?.resultsOf(electionId) ?? []) {
        checkResult(shardId, known, end.head?.generation ?? 1, election, findings);
      }
    }
  }
}

function electionOf({ elections }: ShardOutcome, electionId: string): AuditedElection | undefined {
  return elections.find(({ terms }) => terms.electionId === electionId);
}
