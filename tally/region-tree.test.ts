import { expect, test } from "vitest";
import { regionTree } from "./region-tree.ts";
import { leaf, sampleShape } from "./sample-election.ts";

const tree = regionTree(sampleShape());
const node = (regionId: string) => {
  const found = tree.get(regionId);
  if (found === undefined) throw new Error(`no region ${regionId}`);
  return found;
};

test("every region is in the tree, parents that no one listed too", () => {
  expect([...tree.keys()].sort()).toEqual([
    "",
    "north",
    "north/hill",
    "north/town",
    "north/town/east",
    "north/town/west",
    "south",
    "south/coast",
  ]);
});

test("children are direct ones, in the order of the definition", () => {
  const childIds = (regionId: string) => node(regionId).children.map((child) => child.regionId);
  expect(childIds("")).toEqual(["north", "south"]);
  expect(childIds("north")).toEqual(["north/hill", "north/town"]);
  expect(childIds("north/town")).toEqual(["north/town/east", "north/town/west"]);
  expect(childIds("north/hill")).toEqual([]);
});

test("a region has the leaves below it, and a leaf itself", () => {
  expect([...node("").leaves]).toEqual([leaf.hill, leaf.east, leaf.west, leaf.coast]);
  expect([...node("north/town").leaves]).toEqual([leaf.east, leaf.west]);
  expect([...node("south/coast").leaves]).toEqual([leaf.coast]);
});

test("a region without a title has the last part of its path, the root the election's title", () => {
  const titles = ["", "north", "north/town", "north/town/east", "south"].map((regionId) => node(regionId).title);
  expect(titles).toEqual(["Mayor of Sample", "North County", "town", "east", "south"]);
});

test("eligible voters are known only where they are known for every leaf below", () => {
  const eligible = ["north/hill", "north/town", "north", "south", ""].map((regionId) => node(regionId).eligibleVoters);
  expect(eligible).toEqual([100n, 500n, 600n, undefined, undefined]);
});

test("a contest is on a region's ballots when it is on those of any leaf below", () => {
  const contests = ["", "north/town", "south", "south/coast"].map((regionId) =>
    node(regionId).contests.map(({ contestId }) => contestId),
  );
  expect(contests).toEqual([["mayor", "bridge"], ["mayor", "bridge"], ["mayor"], ["mayor"]]);
});
