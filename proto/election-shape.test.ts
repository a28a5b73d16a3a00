import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ballotCounts, ballotsCell, decodeBallot, electionShape, encodeBallot } from "./election-shape.ts";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "./generated/urna/v1/election_pb.js";

const shape = electionShape(
  create(ElectionDefinitionSchema, {
    electionId: "town-2026",
    keyKind: KeyKind.VOTER,
    regions: [{ regionId: "north" }, { regionId: "north/one" }, { regionId: "south/one" }],
    contests: [
      { contestId: "mayor", kind: ContestKind.PLURALITY, options: [{ optionId: "ann" }, { optionId: "bob" }] },
      {
        contestId: "council",
        kind: ContestKind.PLURALITY,
        options: [{ optionId: "x" }, { optionId: "y" }, { optionId: "z" }],
        maxSelections: 2,
        regionIds: ["north"],
      },
    ],
  }),
);

test("leaves are the regions without regions below them, also where parents are only implied", () => {
  expect(shape.leaves).toEqual(["north/one", "south/one"]);
  expect([...shape.branches].sort()).toEqual(["", "north", "south"]);
});

test("cells are ballots, then each contest's options and undervotes", () => {
  expect(shape.cellMeanings.map((meaning) => ("optionId" in meaning ? meaning.optionId : meaning.kind))).toEqual([
    "ballots",
    "ann",
    "bob",
    "undervotes",
    "x",
    "y",
    "z",
    "undervotes",
  ]);
});

test("a canonical ballot does not depend on the order of the selections", () => {
  expect(encodeBallot([6, 1, 4])).toEqual(encodeBallot([4, 6, 1]));
  expect(decodeBallot(encodeBallot([6, 1, 4]))).toEqual([1, 4, 6]);
});

test("a ballot counts once, each selection once, and each selection not made as an undervote (I5)", () => {
  expect(ballotCounts(shape, 0, encodeBallot([1, 4]))).toEqual(
    new Map([
      [ballotsCell, 1],
      [1, 1],
      [4, 1],
      [7, 1],
    ]),
  );
});

test("a contest that is not on the region's ballot gets no undervotes", () => {
  expect(ballotCounts(shape, 1, encodeBallot([]))).toEqual(
    new Map([
      [ballotsCell, 1],
      [3, 1],
    ]),
  );
});

test("the hash of a definition changes with the definition and with nothing else", () => {
  const again = electionShape(create(ElectionDefinitionSchema, shape.definition));
  expect(again.definitionHash).toEqual(shape.definitionHash);
  const other = electionShape(create(ElectionDefinitionSchema, { ...shape.definition, title: "other" }));
  expect(other.definitionHash).not.toEqual(shape.definitionHash);
});
