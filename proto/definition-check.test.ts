import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { checkDefinition } from "./definition-check.ts";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "./generated/urna/v1/election_pb.js";
import { RejectionError } from "./rejections.ts";

type Definition = MessageInitShape<typeof ElectionDefinitionSchema>;

const contest = {
  contestId: "mayor",
  kind: ContestKind.PLURALITY,
  options: [{ optionId: "ann" }, { optionId: "bob" }],
};
const good: Definition = {
  electionId: "town-2026",
  keyKind: KeyKind.VOTER,
  contests: [contest],
  regions: [{ regionId: "north/one" }, { regionId: "north/two", eligibleVoters: 10n }, { regionId: "south" }],
};

const bad: [name: string, change: Definition, message: string][] = [
  ["an id with capitals", { electionId: "Town" }, 'election_id "Town"'],
  ["no key kind", { keyKind: KeyKind.UNSPECIFIED }, "key_kind"],
  ["no regions", { regions: [] }, "no regions"],
  ["a region twice", { regions: [{ regionId: "a" }, { regionId: "a" }] }, '"a" is there twice'],
  ["a region path with an empty part", { regions: [{ regionId: "a//b" }] }, 'region_id "a//b"'],
  [
    "voters on a region that is no leaf",
    { regions: [{ regionId: "a", eligibleVoters: 1n }, { regionId: "a/b" }] },
    "leaves",
  ],
  ["no contests", { contests: [] }, "no contests"],
  ["a contest twice", { contests: [contest, contest] }, '"mayor" is there twice'],
  ["a contest of an unknown kind", { contests: [{ ...contest, kind: ContestKind.UNSPECIFIED }] }, "kind must be"],
  ["a contest without options", { contests: [{ ...contest, options: [] }] }, "no options"],
  [
    "an option twice",
    { contests: [{ ...contest, options: [{ optionId: "x" }, { optionId: "x" }] }] },
    '"x" is there twice',
  ],
  ["more selections than options", { contests: [{ ...contest, maxSelections: 3 }] }, "max_selections 3"],
  ["a contest in a region that is not there", { contests: [{ ...contest, regionIds: ["west"] }] }, '"west"'],
  ["a close before the opening", { opensAt: timestampFromMs(2_000), closesAt: timestampFromMs(1_000) }, "closes_at"],
  ["a title that is too long", { title: "x".repeat(257) }, "title"],
];

describe("a definition", () => {
  test("that is good passes", () => {
    expect(() => checkDefinition(create(ElectionDefinitionSchema, good))).not.toThrow();
  });

  test.each(bad)("with %s is refused by name", (_, change, message) => {
    const definition = create(ElectionDefinitionSchema, { ...good, ...change } as Definition);
    expect(() => checkDefinition(definition)).toThrow(RejectionError);
    expect(() => checkDefinition(definition)).toThrow(message);
  });
});
