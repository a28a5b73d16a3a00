import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ContestSchema, ElectionDefinitionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { ContestCountSchema, RegionTallySchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { contestResult, crumbsTo, lackingOf, regionRow, spokenSummary, standingOf } from "./results-model.ts";

const contest = create(ContestSchema, {
  contestId: "contest",
  title: "President",
  options: [
    { optionId: "joe-biden", title: "Joe Biden" },
    { optionId: "donald-trump", title: "Donald Trump" },
    { optionId: "write-in", title: "" },
  ],
});

const counted = create(ContestCountSchema, {
  contestId: "contest",
  options: [
    { optionId: "joe-biden", count: 1_438n },
    { optionId: "donald-trump", count: 2_420n },
  ],
  undervotes: 7n,
});

const alton = create(RegionTallySchema, {
  regionId: "belknap/alton",
  title: "Alton",
  ballots: 3_865n,
  eligibleVoters: 5_000n,
  contests: [counted],
});

describe("a contest's result", () => {
  test("options stand in order of votes and keep their place on the ballot for their colour", () => {
    const { options, undervotes } = contestResult(contest, counted);
    expect(options.map(({ title, count, share, place }) => [title, count, share, place])).toEqual([
      ["Donald Trump", "2,420", "62.7\u00a0%", 1],
      ["Joe Biden", "1,438", "37.3\u00a0%", 0],
      ["write-in", "0", "0.0\u00a0%", 2],
    ]);
    expect(undervotes).toBe("7");
  });

  test("without votes the options stand as on the ballot", () => {
    const { options } = contestResult(contest, undefined);
    expect(options.map(({ optionId, share }) => [optionId, share])).toEqual([
      ["joe-biden", "–"],
      ["donald-trump", "–"],
      ["write-in", "–"],
    ]);
  });
});

describe("a region's row", () => {
  test("shows ballots, turnout and how each asked option fares", () => {
    expect(regionRow(alton, contest, ["joe-biden", "donald-trump"])).toEqual({
      regionId: "belknap/alton",
      title: "Alton",
      ballots: "3,865",
      turnout: "77.3\u00a0%",
      options: [
        { count: "1,438", share: "37.3\u00a0%" },
        { count: "2,420", share: "62.7\u00a0%" },
      ],
      leader: "Donald Trump 62.7\u00a0%",
    });
  });

  test("has no leader and no turnout where neither is known", () => {
    const empty = create(RegionTallySchema, { regionId: "belknap/belmont" });
    expect(regionRow(empty, contest, [])).toMatchObject({ title: "belmont", leader: "–", turnout: undefined });
  });
});

describe("words", () => {
  test("the way to a region names every region above it, also those that are not listed", () => {
    const definition = create(ElectionDefinitionSchema, { regions: [{ regionId: "belknap/alton", title: "Alton" }] });
    expect(crumbsTo(definition, "belknap/alton").map(({ regionId, title }) => [regionId, title])).toEqual([
      ["", "All regions"],
      ["belknap", "belknap"],
      ["belknap/alton", "Alton"],
    ]);
  });

  const standings = [
    { state: ElectionState.CREATED, final: false, sealed: true, text: "Not open yet" },
    { state: ElectionState.OPEN, final: false, sealed: false, text: "Open" },
    { state: ElectionState.OPEN, final: false, sealed: true, text: "Open, results sealed" },
    { state: ElectionState.CLOSED, final: false, sealed: true, text: "Closed, not yet final" },
    { state: ElectionState.CLOSED, final: true, sealed: false, text: "Final" },
  ];
  for (const { text, ...cut } of standings) {
    test(`an election that is ${JSON.stringify(cut)} is called "${text}"`, () => {
      expect(standingOf(cut).text).toBe(text);
    });
  }

  test("a shard that is not read is named, and nothing is said when all are", () => {
    expect(lackingOf({ missing: [] })).toBeUndefined();
    expect(lackingOf({ missing: [{ $typeName: "urna.v1.MissingShard", shardId: 1 }] })).toBe(
      "Newer votes are lacking: shard 1 since the start.",
    );
  });

  test("the spoken summary names the leader, and nobody before the first vote", () => {
    expect(spokenSummary(alton, "Alton", [contestResult(contest, counted)])).toBe(
      "3,865 ballots counted in Alton. President: Donald Trump 62.7\u00a0%.",
    );
    expect(spokenSummary(create(RegionTallySchema), "Alton", [contestResult(contest, undefined)])).toBe(
      "0 ballots counted in Alton.",
    );
  });
});
