import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ElectionDefinitionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import type { TallyCutSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { RecountResultSchema, WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { recountLines } from "./recount-command.ts";
import { tallyLine, tallyLines } from "./tally-text.ts";
import { lineWidthMax } from "./text-table.ts";

const definition = create(ElectionDefinitionSchema, {
  electionId: "town",
  title: "Town",
  contests: [
    {
      contestId: "mayor",
      title: "Mayor",
      options: [
        { optionId: "ann", title: "Ann" },
        { optionId: "bob", title: "Bob" },
      ],
    },
  ],
});

const counts = (ann: bigint, bob: bigint) => [
  {
    contestId: "mayor",
    options: [
      { optionId: "ann", count: ann },
      { optionId: "bob", count: bob },
    ],
    undervotes: 5n,
  },
];

const tally = create(WatchTallyResponseSchema, {
  electionId: "town",
  cut: {
    asOf: timestampFromMs(0),
    vector: [{ shardId: 0, batch: 1_234n }],
    missing: [{ shardId: 1 }],
    state: ElectionState.OPEN,
  },
  region: { ballots: 799_014n, eligibleVoters: 1_000_000n, contests: counts(420_125n, 378_884n) },
  children: [
    { regionId: "north", ballots: 700_000n, contests: counts(400_000n, 299_995n) },
    { regionId: `south/${"x".repeat(90)}`, ballots: 99_014n, contests: counts(20_125n, 78_889n) },
  ],
});

describe("a tally in the terminal", () => {
  const lines = tallyLines(tally, definition);

  test("fits on 80 columns", () => {
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(lineWidthMax);
  });

  test("shows titles, counts with separators, shares and turnout", () => {
    expect(lines.slice(0, 2)).toEqual(["Town  (open)", "799,014 ballots counted, 79.9 % of 1,000,000 eligible voters"]);
    expect(lines).toContainEqual(expect.stringMatching(/^Mayor +VOTES +SHARE$/));
    expect(lines).toContainEqual(expect.stringMatching(/^Bob +378,884 +47\.4 % +#+$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\(undervotes\) +5$/));
    expect(lines).toContainEqual(expect.stringMatching(/^north +700,000 +57\.1 % +42\.9 %$/));
  });

  test("names its cut, and the shards whose votes it lacks (I7)", () => {
    expect(lines.at(-2)).toMatch(/^cut at \d\d:\d\d:\d\d: shard 0 to batch 1,234$/);
    expect(lines.at(-1)).toBe("newer votes of shard 1 are lacking since the start");
  });

  test("is one line in a log", () => {
    expect(tallyLine(tally)).toMatch(/^open {2}799,014 ballots {2}ann 420,125 \(52\.6 %\) {2}bob/);
  });
});

describe("an audit in the terminal", () => {
  const cut = {
    asOf: timestampFromMs(0),
    vector: [{ shardId: 0, batch: 1_234n }],
    verifiedThrough: [
      { shardId: 0, batch: 1_200n },
      { shardId: 1, batch: 7n },
    ],
  };
  const linesOf = (change: MessageInitShape<typeof TallyCutSchema>) =>
    tallyLines(
      create(WatchTallyResponseSchema, { electionId: "town", cut: { ...cut, ...change }, region: {} }),
      definition,
    );

  test("is said shard by shard, after the cut (I7)", () => {
    expect(linesOf({}).slice(-2)).toEqual([
      expect.stringMatching(/^cut at/),
      "verified: shard 0 through batch 1,200, shard 1 through batch 7",
    ]);
  });

  test("is not mentioned where no auditor follows", () => {
    expect(linesOf({ verifiedThrough: [] }).at(-1)).toMatch(/^cut at/);
  });

  test("that has fallen silent is marked with the time of its last word", () => {
    const [verified = ""] = linesOf({ auditSilentSince: timestampFromMs(0) }).slice(-1);
    expect(verified.replace("\n", " ")).toMatch(
      /^verified \(no word since \d\d:\d\d:\d\d\): shard 0 through batch 1,200, shard 1 through batch 7$/,
    );
  });

  test("shows every finding last, on lines that fit, and without what a terminal would obey", () => {
    const lines = linesOf({ auditFindings: ["shard 0: leaf 3 \u001b[2J", `shard 1: ${"leaf ".repeat(30)}`] });
    expect(lines.at(-2)).toBe("AUDIT: shard 0: leaf 3 ");
    expect(lines.at(-1)).toMatch(/^AUDIT: shard 1: leaf/);
    const widths = lines.flatMap((line) => line.split("\n")).map((line) => line.length);
    expect(Math.max(...widths)).toBeLessThanOrEqual(lineWidthMax);
  });

  test("that found something is on the line in a log", () => {
    const frame = create(WatchTallyResponseSchema, { cut: { ...cut, auditFindings: ["a", "b"] }, region: {} });
    expect(tallyLine(frame)).toMatch(/ {2}2 AUDIT FINDINGS$/);
  });
});

describe("a recount in the terminal", () => {
  test("says that it agrees, and up to where", () => {
    const result = create(RecountResultSchema, { vector: [{ shardId: 0, batch: 9n }], rowsCounted: 7n, matches: true });
    expect(recountLines(result)).toEqual([
      "7 votes counted again, shard 0 to batch 9",
      "the tally agrees in every region, contest and option",
    ]);
  });

  test("shows every difference that it was told, and how many there are", () => {
    const result = create(RecountResultSchema, {
      rowsCounted: 7n,
      differenceCount: 1_200n,
      differences: [{ shardId: 1, regionId: "north", contestId: "mayor", optionId: "ann", tally: 4n, rows: 3n }],
    });
    expect(recountLines(result).slice(1)).toEqual([
      "THE TALLY DIFFERS in 1,200 counts (the first 1 are shown)",
      "SHARD  REGION  WHAT        TALLY  STORED",
      "    1  north   mayor: ann      4       3",
    ]);
  });
});
