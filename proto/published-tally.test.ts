import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PublishedTallySchema } from "#proto/generated/urna/v1/published_tally_pb.js";
import { GetTallyTableResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { regionsMax } from "#proto/limits.ts";
import type { TallyView } from "#proto/published-tally.ts";
import { packPublished, publishedBytesMax, readPublished, ViewNames } from "#proto/published-tally.ts";

const north: TallyView = { kind: "region", electionId: "mayor", regionId: "north/hill" };
const root: TallyView = { kind: "region", electionId: "mayor", regionId: "" };
const table: TallyView = { kind: "table", electionId: "mayor" };
const cut = {
  frame: { incarnation: 7n, number: 9n },
  vector: [{ shardId: 0, batch: 5n, $typeName: "urna.v1.ShardPosition" as const }],
};

function answering(answers: readonly Uint8Array[]) {
  return { cut, publishedAtMs: 1_000.4, answers };
}

describe("names of views", () => {
  test.each([north, root, table])("a view is found again by its name: $kind", (view) => {
    const names = new ViewNames("urna");
    expect(names.viewOf(names.nameOf(view))).toEqual(view);
  });

  test.each([
    "urna:urna:tally:v2:table:mayor",
    "urna:other:tally:v1:table:mayor",
    "urna:urna:tally:v1:region:mayor",
    "urna:urna:tally:v1:table:mayor/north",
    "urna:urna:tally:v1:",
    "",
  ])("%j is no view of this deployment", (name) => {
    expect(new ViewNames("urna").viewOf(name)).toBeUndefined();
  });

  test("a deployment whose name looks like a pattern hears of its own views alone", () => {
    expect(new ViewNames("a*[b]?").pattern).toBe("urna:a\\*\\[b\\]\\?:tally:v1:*");
  });
});

describe("published answers", () => {
  test.each([
    { size: "small", answers: [Buffer.from("one")] },
    { size: "large", answers: [Buffer.alloc(200_000, "a"), Buffer.alloc(100_000, "b")] },
  ])("$size ones are unpacked as they were packed, with the cut that they are of", async ({ answers }) => {
    const packed = await packPublished(table, answering(answers));
    if (packed === undefined) throw new Error("not packed");
    expect(packed.length).toBeLessThan(10_000);
    const read = readPublished(table, packed);
    expect(read).toMatchObject({
      cut: { frame: cut.frame, vector: [{ shardId: 0, batch: 5n }] },
      publishedAtMs: 1_000,
    });
    expect((await read.unpack()).map((bytes) => Buffer.from(bytes))).toEqual(
      answers.map((bytes) => Buffer.from(bytes)),
    );
  });

  test("a table of as many regions as an election may have is small enough: 5 MB, compressed less than 1", async () => {
    const regions = Array.from({ length: regionsMax }, (_, region) => ({
      regionId: `county-${region % 100}/precinct-${region}`,
      title: `Precinct ${region}`,
      ballots: BigInt(region % 400),
      contests: ["president", "senate", "house"].map((contestId, contest) => ({
        contestId,
        options: [1, 2, 3, 4].map((option) => ({
          optionId: `option-${option}`,
          count: BigInt((region * (7 + contest) + option * 13) % 400),
        })),
      })),
    }));
    const rows = toBinary(GetTallyTableResponseSchema, create(GetTallyTableResponseSchema, { regions }));
    const packed = await packPublished(table, answering([rows]));
    expect(rows.length).toBeGreaterThan(4_000_000);
    expect(packed?.length).toBeLessThan(1_000_000);
  });

  test("one that stays too large when it is compressed is not published", async () => {
    expect(await packPublished(table, answering([randomBytes(publishedBytesMax + 1)]))).toBeUndefined();
  });

  test("the answer to another question is refused", async () => {
    const packed = await packPublished(north, answering([Buffer.from("north")]));
    if (packed === undefined) throw new Error("not packed");
    expect(() => readPublished(root, packed)).toThrow(/another question/);
    expect(() => readPublished({ ...north, electionId: "other" }, packed)).toThrow(/another question/);
  });

  test("garbage is refused, also where it is compressed", async () => {
    expect(() => readPublished(root, Buffer.from("garbage"))).toThrow();
    const message = create(PublishedTallySchema, {
      electionId: "mayor",
      frame: {},
      deflatedAnswers: Buffer.from("garbage"),
    });
    await expect(readPublished(root, toBinary(PublishedTallySchema, message)).unpack()).rejects.toThrow();
  });
});
