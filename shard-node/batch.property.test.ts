import fc from "fast-check";
import { expect, test } from "vitest";
import { ballotCounts } from "#proto/election-shape.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { RecordOutcome } from "#proto/generated/urna/v1/shard_service_pb.js";
import { type LogEnd, sealVotes } from "./batch.ts";
import type { SampleVote } from "./sample-election.ts";
import { answersOf, cell, sampleBook, sampleFrame, sampleHead, sampleTree } from "./sample-election.ts";
import type { Settlement, WaitingVote } from "./vote-frame.ts";
import type { ExistingVote } from "./vote-lookup.ts";

const elections = { open: ElectionState.OPEN, closed: ElectionState.CLOSED, early: ElectionState.CREATED };
const ballots = [[], [cell.ada], [cell.ben], [cell.park], [cell.ada, cell.park, cell.pool], [99]];

type Sent = SampleVote & { readonly electionId: string };

const sends = fc.record({
  electionId: fc.constantFrom("open", "open", "open", "closed", "early", "nowhere"),
  voter: fc.constantFrom("ann", "bob", "cy", "di"),
  key: fc.constantFrom(undefined, "k1", "k2"),
  region: fc.nat(2),
  cells: fc.constantFrom(...ballots),
}) as fc.Arbitrary<Sent>;

function placeOf({ frame, nullifier }: WaitingVote): string {
  return `${frame.electionId} ${nullifier.toString("hex")}`;
}

/** What a shard is to a caller who knows nothing of batches: votes one after the other. */
class OneByOne {
  readonly stored = new Map<string, WaitingVote>();
  readonly #book = sampleBook(elections);

  outcome(vote: WaitingVote): RecordOutcome {
    const place = placeOf(vote);
    const first = this.stored.get(place);
    if (first !== undefined) {
      const keyed = !vote.keyHash.equals(Buffer.alloc(16));
      const same =
        vote.keyHash.equals(first.keyHash) && vote.region === first.region && vote.ballot.equals(first.ballot);
      return keyed && same ? RecordOutcome.REPEAT : RecordOutcome.ALREADY_VOTED;
    }
    const election = this.#book.entry(vote.frame.electionId);
    if (election === undefined) return RecordOutcome.UNKNOWN_ELECTION;
    if (election.state === ElectionState.CLOSED) return RecordOutcome.CLOSED;
    if (election.state === ElectionState.CREATED) return RecordOutcome.NOT_OPEN;
    if (election.kindOf(vote.region, vote.ballot, 0, vote.ballotLength) === undefined) return RecordOutcome.INTERNAL;
    this.stored.set(place, vote);
    return RecordOutcome.RECORDED;
  }
}

/** The shard's tables, as far as sealing goes: what is looked up, and what a batch adds. */
class Tables {
  end: LogEnd = { head: { ...sampleHead, batch: 0, treeSize: 0 }, tree: sampleTree(0) };
  readonly book = sampleBook(elections);
  readonly rows = new Map<string, ExistingVote>();
  readonly counts = new Map<string, number>();

  commit(votes: readonly WaitingVote[]): ReadonlyMap<WaitingVote, Settlement> {
    const existing = new Map<WaitingVote, ExistingVote>();
    for (const vote of votes) {
      const row = this.rows.get(placeOf(vote));
      if (row !== undefined) existing.set(vote, row);
    }
    const batch = sealVotes(this.end, 0, this.book, votes, existing);
    for (const { votes: added, firstLeaf } of batch.newVotes) {
      added.forEach((vote, i) => {
        const { keyHash, region, ballot } = vote;
        const row = { keyHash, region, ballot, leafIndex: firstLeaf + i, batch: batch.identity.number };
        this.rows.set(placeOf(vote), row);
      });
    }
    const { deltas } = batch;
    deltas.n.forEach((n, i) => {
      const place = `${deltas.elections[i]} ${deltas.regions[i]} ${deltas.cells[i]}`;
      this.counts.set(place, (this.counts.get(place) ?? 0) + n);
    });
    const { tree } = batch.ledger;
    this.end = { head: { ...this.end.head, batch: batch.identity.number, treeSize: tree.size }, tree };
    return new Map(answersOf(batch));
  }
}

test("however votes fall into batches, the outcomes are those of votes sent one by one (I2, I3, I4, I10)", () => {
  fc.assert(
    fc.property(fc.array(fc.array(sends, { maxLength: 12 }), { maxLength: 6 }), (batches) => {
      const model = new OneByOne();
      const tables = new Tables();
      const receipts = new Map<string, string>();
      for (const sent of batches) {
        const votes = sent.flatMap(({ electionId, ...vote }) => sampleFrame(electionId, [vote]).frame.votes);
        const expected = votes.map((vote) => model.outcome(vote));
        const answers = tables.commit(votes);
        expect(answers.size).toBe(votes.length);
        expect(votes.map((vote) => answers.get(vote)?.outcome)).toEqual(expected);
        for (const [vote, settlement] of answers) {
          if (!("leafIndex" in settlement)) continue;
          const place = placeOf(vote);
          const receipt = `${settlement.leafIndex} in ${settlement.batch}`;
          expect(receipts.get(place) ?? receipt).toBe(receipt);
          receipts.set(place, receipt);
        }
      }
      expect([...tables.rows].map(([, row]) => row.leafIndex).sort((a, b) => a - b)).toEqual(
        Array.from({ length: model.stored.size }, (_, i) => i),
      );
    }),
  );
});

test("the sum of all count deltas is the recount of all stored votes (I5)", () => {
  fc.assert(
    fc.property(fc.array(fc.array(sends, { maxLength: 12 }), { maxLength: 6 }), (batches) => {
      const tables = new Tables();
      for (const sent of batches) {
        tables.commit(sent.flatMap(({ electionId, ...vote }) => sampleFrame(electionId, [vote]).frame.votes));
      }
      const recount = new Map<string, number>();
      for (const [place, { region, ballot }] of tables.rows) {
        const election = tables.book.entry(place.split(" ")[0] ?? "");
        if (election === undefined) throw new Error("a row of no election");
        for (const [counted, n] of ballotCounts(election.shape, region, ballot)) {
          const key = `${election.number} ${region} ${counted}`;
          recount.set(key, (recount.get(key) ?? 0) + n);
        }
      }
      expect(new Map([...tables.counts].sort())).toEqual(new Map([...recount].sort()));
    }),
  );
});
