import { expect, test } from "vitest";
import { encodeBallot } from "#proto/election-shape.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { cell, leaf, sampleBook, sampleDefinition, sampleEntry } from "./sample-election.ts";

const ballot = (...cells: number[]) => encodeBallot(cells).toString("latin1");
const entry = () => sampleEntry(1, ElectionState.OPEN, sampleDefinition("e"));

test("what a ballot adds is the same when it is seen again (I5)", () => {
  const election = entry();
  const cells = [cell.ada, cell.park];
  const added = [
    [...(election.countsOf(leaf.hill, ballot(...cells)) ?? [])],
    [...(election.countsOf(leaf.hill, ballot(...cells)) ?? [])],
  ];
  const expected = [
    [cell.ballots, 1],
    [cell.ada, 1],
    [cell.park, 1],
    [cell.worksUndervotes, 1],
  ];
  expect(added).toEqual([expected, expected]);
});

test("a ballot that is not canonical stays refused, in every region (I5)", () => {
  const election = entry();
  for (let i = 0; i < 2; i++) {
    expect(election.countsOf(leaf.coast, ballot(cell.park))).toBeUndefined();
    expect(election.countsOf(leaf.hill, ballot(cell.park))).toBeDefined();
    expect(election.countsOf(leaf.hill, "\0")).toBeUndefined();
    expect(election.countsOf(leaf.hill, "\0\x04\0\x01")).toBeUndefined();
  }
});

test("what is remembered of ballots is bounded, and forgetting changes no count (I9, I5)", () => {
  const election = entry();
  for (let region = 100; region < 60_100; region++) election.countsOf(region, ballot(cell.ada));
  expect([...(election.countsOf(leaf.coast, ballot(cell.ben)) ?? [])]).toEqual([
    [cell.ballots, 1],
    [cell.ben, 1],
  ]);
});

test("elections are numbered one after the other", () => {
  expect(sampleBook({}).nextNumber()).toBe(1);
  const book = sampleBook({ e: ElectionState.OPEN, f: ElectionState.CREATED });
  expect([book.nextNumber(), book.byNumber(2)?.id]).toEqual([3, "f"]);
});
