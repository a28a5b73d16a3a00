import { expect, test } from "vitest";
import type { ShardClaim } from "#mesh/shard-map-publisher.ts";
import type { SlotRange } from "#proto/slots.ts";
import type { MapDocument } from "./map-document.ts";
import { claimText, composeMap, mapText, parseClaim, parseMap, sameSlots } from "./map-document.ts";

const lower: SlotRange = [0, 8_191];
const upper: SlotRange = [8_192, 16_383];
const map: MapDocument = {
  deployment: "town",
  epoch: 3,
  shards: [
    { shardId: 0, slots: [lower] },
    { shardId: 1, slots: [upper] },
  ],
};

const claimOf = (shardId: number, slots: readonly SlotRange[], change: Partial<ShardClaim> = {}): ShardClaim => ({
  deployment: "town",
  shardId,
  shardCount: 2,
  mapEpoch: 3,
  writerEpoch: 7,
  slots,
  ...change,
});

test("a map reads as it was written, and people can read it, too", () => {
  expect(parseMap(mapText(map))).toEqual(map);
  expect(mapText(map)).toBe(`{
  "schema_version": 1,
  "deployment": "town",
  "epoch": 3,
  "shards": [
    {"id":0,"slots":[[0,8191]]},
    {"id":1,"slots":[[8192,16383]]}
  ]
}
`);
});

const bad: [string, object, string][] = [
  ["another schema", { schema_version: 2 }, "schema_version must be 1"],
  ["no epoch", { epoch: undefined }, "epoch must be a whole number"],
  ["an epoch that is no whole number", { epoch: 1.5 }, "epoch must be a whole number"],
  ["an epoch below zero", { epoch: -1 }, "epoch must be a whole number"],
  ["no deployment", { deployment: "" }, "deployment must be a text"],
  ["an endless name", { deployment: "x".repeat(400_000) }, "deployment must have at most 1000 characters"],
  ["no shards", { shards: [] }, "slot 0 has no owner"],
  ["shards that are no list", { shards: { 0: lower } }, "shards must be a list"],
  ["a shard twice", { shards: [lower, upper].map((slots) => ({ id: 0, slots: [slots] })) }, "a shard is named twice"],
  ["a shard beyond all slots", { shards: [{ id: 65_535, slots: [[0, 16_383]] }] }, "id must be less than 16384"],
  ["slots beyond the last", { shards: [{ id: 0, slots: [[0, 2 ** 52]] }] }, "slot 16384 has two owners"],
  ["a range of three", { shards: [{ id: 0, slots: [[0, 1, 2]] }] }, "must be pairs"],
  ["a range backwards", { shards: [{ id: 0, slots: [[16_383, 0]] }] }, "slot 0 has no owner"],
];
for (const [title, change, problem] of bad) {
  test(`a map with ${title} is refused by name`, () => {
    const text = JSON.stringify({ ...JSON.parse(mapText(map)), ...change });
    expect(() => parseMap(text)).toThrow(problem);
  });
}

test("two maps are the same when every slot has the same owner, however it is written", () => {
  const split = {
    ...map,
    shards: [
      { shardId: 1, slots: [upper] },
      {
        shardId: 0,
        slots: [
          [1, 8_191],
          [0, 0],
        ] as const,
      },
    ],
  };
  const other = {
    ...map,
    shards: [
      { shardId: 1, slots: [lower] },
      { shardId: 0, slots: [upper] },
    ],
  };
  expect(sameSlots(map, split)).toBe(true);
  expect(sameSlots(map, other)).toBe(false);
});

test("claims make a map when together they own each slot once", () => {
  const own = claimOf(0, [lower]);
  expect(parseClaim(claimText(own))).toEqual(own);
  expect(composeMap([claimOf(1, [upper]), own], own)).toEqual(map);
});

const incomplete: [string, ShardClaim[], string][] = [
  ["a shard has not claimed", [], "no claim of shard 1 yet"],
  ["a shard is of another deployment", [claimOf(1, [upper], { deployment: "city" })], "no claim of shard 1 yet"],
  ["a shard is at another epoch", [claimOf(1, [upper], { mapEpoch: 2 })], "shard 1 is at epoch 2, this one at 3"],
  ["two own a slot", [claimOf(1, [[8_191, 16_383]])], "slot 8191 has two owners"],
  ["nobody owns a slot", [claimOf(1, [[8_193, 16_383]])], "slot 8192 has no owner"],
];
for (const [title, others, problem] of incomplete) {
  test(`claims make no map while ${title}`, () => {
    const own = claimOf(0, [lower]);
    expect(composeMap([own, ...others], own)).toContain(problem);
  });
}
