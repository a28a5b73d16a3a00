import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { electionShape } from "#proto/election-shape.ts";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import type { AuditedElection } from "./audited-election.ts";
import { ballotKind } from "./ballot-kind.ts";

const contest = (contestId: string, options: string[], maxSelections: number, regionIds: string[] = []) => ({
  contestId,
  kind: ContestKind.PLURALITY,
  options: options.map((optionId) => ({ optionId })),
  maxSelections,
  regionIds,
});

/** Cells: 0 ballots; 1 ada, 2 bob, 3 undervotes of mayor; 4 x, 5 y, 6 z, 7 undervotes of council, in the north alone. */
const shape = electionShape(
  create(ElectionDefinitionSchema, {
    electionId: "town",
    keyKind: KeyKind.VOTER,
    regions: [{ regionId: "north" }, { regionId: "south" }],
    contests: [contest("mayor", ["ada", "bob"], 1), contest("council", ["x", "y", "z"], 2, ["north"])],
  }),
);
const election = {} as AuditedElection;
const kindOf = (region: number, ballot: string) => ballotKind(election, shape, region, Buffer.from(ballot, "hex"));

const good: readonly { what: string; region: number; ballot: string; counts: Record<number, number> }[] = [
  { what: "all that may be selected", region: 0, ballot: "000100040006", counts: { 0: 1, 1: 1, 4: 1, 6: 1 } },
  { what: "less than may be selected", region: 0, ballot: "00020005", counts: { 0: 1, 2: 1, 5: 1, 7: 1 } },
  { what: "nothing", region: 0, ballot: "", counts: { 0: 1, 3: 1, 7: 2 } },
  { what: "nothing, where one contest is not on the ballot", region: 1, ballot: "", counts: { 0: 1, 3: 1 } },
];

test.each(good)("a ballot with $what counts as it should (I5)", ({ region, ballot, counts }) => {
  const kind = kindOf(region, ballot);
  expect(kind.isBallot).toBe(true);
  const counted = Object.fromEntries(kind.cells.map((cell, i) => [cell, kind.n[i]]));
  expect(counted).toEqual(counts);
});

const bad: readonly { what: string; region: number; ballot: string }[] = [
  { what: "more than may be selected", region: 0, ballot: "00010002" },
  { what: "more than may be selected of a contest with two", region: 0, ballot: "000400050006" },
  { what: "one option twice", region: 0, ballot: "00010001" },
  { what: "options that are out of order", region: 0, ballot: "00040001" },
  { what: "a contest that is not on the region's ballot", region: 1, ballot: "0004" },
  { what: "the cell of ballots", region: 0, ballot: "0000" },
  { what: "the cell of undervotes", region: 0, ballot: "0003" },
  { what: "a cell that is not there", region: 0, ballot: "00ff" },
  { what: "half a cell", region: 0, ballot: "000100" },
  { what: "a region that is not there", region: 2, ballot: "0001" },
];

test.each(bad)("a ballot with $what is none, and counts nothing", ({ region, ballot }) => {
  expect(kindOf(region, ballot)).toMatchObject({ isBallot: false, cells: [], n: [] });
});

test("where there is no definition nothing is counted, and nothing is held against the ballot", () => {
  expect(ballotKind(election, undefined, 9, Buffer.from("ffff", "hex"))).toMatchObject({ isBallot: true, cells: [] });
});
