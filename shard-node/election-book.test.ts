import { expect, test } from "vitest";
import { encodeBallot } from "#proto/election-shape.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { ElectionEntry } from "./election-book.ts";
import { cell, leaf, sampleBook, sampleDefinition, sampleEntry } from "./sample-election.ts";

function kindOf(election: ElectionEntry, region: number, ballot: Buffer) {
  return election.kindOf(region, ballot, 0, ballot.length);
}

const entry = () => sampleEntry(1, ElectionState.OPEN, sampleDefinition("e"));

test("what a ballot adds is the same when it is seen again (I5)", () => {
  const election = entry();
  const cells = [cell.ada, cell.park];
  const expected = { cells: [cell.ballots, cell.ada, cell.park, cell.worksUndervotes], n: [1, 1, 1, 1] };
  for (let i = 0; i < 2; i++) expect(kindOf(election, leaf.hill, encodeBallot(cells))).toMatchObject(expected);
});

test("a ballot that is not canonical stays refused, in every region (I5)", () => {
  const election = entry();
  for (let i = 0; i < 2; i++) {
    expect(kindOf(election, leaf.coast, encodeBallot([cell.park]))).toBeUndefined();
    expect(kindOf(election, leaf.hill, encodeBallot([cell.park]))).toBeDefined();
    expect(kindOf(election, leaf.hill, Buffer.from([0]))).toBeUndefined();
    expect(kindOf(election, leaf.hill, Buffer.from([0, 4, 0, 1]))).toBeUndefined();
  }
});

test("what is remembered of ballots is bounded, and forgetting changes no count (I9, I5)", () => {
  const election = entry();
  for (let region = 100; region < 60_100; region++) kindOf(election, region, encodeBallot([cell.ada]));
  expect(kindOf(election, leaf.coast, encodeBallot([cell.ben]))).toMatchObject({
    cells: [cell.ballots, cell.ben],
    n: [1, 1],
  });
});

test("elections are numbered one after the other", () => {
  expect(sampleBook({}).nextNumber()).toBe(1);
  const book = sampleBook({ e: ElectionState.OPEN, f: ElectionState.CREATED });
  expect([book.nextNumber(), book.byNumber(2)?.id]).toEqual([3, "f"]);
});
