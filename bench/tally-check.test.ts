import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { OptionCounts } from "#bench/election-file.ts";
import { parseElectionFile } from "#bench/election-file.ts";
import type { TallySnapshot } from "#bench/tally-check.ts";
import { differencesFromFile } from "#bench/tally-check.ts";
import type { RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RegionTallySchema, TallyCutSchema } from "#proto/generated/urna/v1/tally_service_pb.js";

const file = parseElectionFile(
  "checked.csv",
  Buffer.from("county,precinct,party,candidate,votes\nA,P,X,C,5\nA,P,Y,D,2\nA,Q,X,C,1\nB,R,X,D,3\n"),
);

function region(regionId: string, options: OptionCounts): RegionTally {
  const counts = [...options].map(([optionId, count]) => ({ optionId, count: BigInt(count) }));
  const ballots = counts.reduce((sum, { count }) => sum + count, 0n);
  return create(RegionTallySchema, { regionId, ballots, contests: [{ contestId: "contest", options: counts }] });
}

function faithful(): TallySnapshot {
  const { byOption, byCounty, byPrecinct } = file.expected;
  const regions = (counts: ReadonlyMap<string, OptionCounts>) =>
    [...counts].map(([id, options]) => region(id, options));
  return {
    cut: create(TallyCutSchema, {}),
    root: region("", byOption),
    counties: regions(byCounty),
    precincts: regions(byPrecinct),
  };
}

function optionOf(tally: RegionTally | undefined, optionId: string) {
  const found = tally?.contests[0]?.options.find((option) => option.optionId === optionId);
  if (found === undefined) throw new Error(`no ${optionId}`);
  return found;
}

test("a tally that says what the file says has no difference (I5)", () => {
  expect(differencesFromFile(file, faithful())).toEqual([]);
});

test("regions may come in any order, and options without votes may be left out", () => {
  const { precincts, ...rest } = faithful();
  const r = precincts.find(({ regionId }) => regionId === "b/r");
  r?.contests[0]?.options.splice(0, 1);
  expect(differencesFromFile(file, { ...rest, precincts: precincts.toReversed() })).toEqual([]);
});

type Fault = (snapshot: TallySnapshot) => TallySnapshot;
const faults: [title: string, fault: Fault, difference: string][] = [
  [
    "one vote of one option in one precinct",
    (snapshot) => {
      optionOf(snapshot.precincts[0], "d").count = 3n;
      return snapshot;
    },
    "a/p, d: 2 in the file, 3 in the tally",
  ],
  [
    "one vote in a county alone",
    (snapshot) => {
      optionOf(snapshot.counties[0], "c").count = 5n;
      return snapshot;
    },
    "a, c: 6 in the file, 5 in the tally",
  ],
  [
    "one vote in the whole alone",
    (snapshot) => {
      optionOf(snapshot.root, "c").count = 7n;
      return snapshot;
    },
    "all, c: 6 in the file, 7 in the tally",
  ],
  [
    "the number of ballots",
    (snapshot) => {
      snapshot.root.ballots = 12n;
      return snapshot;
    },
    "all, ballots: 11 in the file, 12 in the tally",
  ],
  [
    "a precinct that is not there",
    (snapshot) => ({ ...snapshot, precincts: snapshot.precincts.slice(1) }),
    "a/p: not in the tally",
  ],
  [
    "a precinct too many",
    (snapshot) => ({ ...snapshot, precincts: [...snapshot.precincts, region("a/z", new Map())] }),
    "a/z: not in the file",
  ],
  [
    "an option too many",
    (snapshot) => {
      snapshot.root.contests[0]?.options.push({ $typeName: "urna.v1.OptionCount", optionId: "e", count: 1n });
      return snapshot;
    },
    "all, e: 0 in the file, 1 in the tally",
  ],
  [
    "undervotes that nobody cast",
    (snapshot) => {
      const [contest] = snapshot.root.contests;
      if (contest !== undefined) contest.undervotes = 1n;
      return snapshot;
    },
    "all, undervotes: 0 in the file, 1 in the tally",
  ],
  [
    "contests that are sealed",
    (snapshot) => {
      snapshot.root.contests = [];
      return snapshot;
    },
    "all, contests: 1 in the file, 0 in the tally",
  ],
  [
    "a shard that is missing",
    (snapshot) => ({ ...snapshot, cut: create(TallyCutSchema, { missing: [{ shardId: 1 }] }) }),
    "shard 1 is missing from the tally",
  ],
];

for (const [title, fault, difference] of faults) {
  test(`found: ${title}`, () => expect(differencesFromFile(file, fault(faithful()))).toContain(difference));
}
