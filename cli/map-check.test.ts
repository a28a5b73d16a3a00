import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ShardNodeStatusSchema, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { AskedNode } from "./map-check.ts";
import { mapDifferences, rangesText } from "./map-check.ts";
import type { MapSource } from "./map-source.ts";

const source: MapSource = {
  name: "Consul",
  map: { deployment: "town", epoch: 2, shards: [{ shardId: 0, slots: [[0, 16_383]] }] },
  problem: "",
  nodes: [],
  routers: [],
  history: [],
};

const writer = (change: { mapEpoch?: bigint; last?: number; shardId?: number } = {}): AskedNode => {
  const { mapEpoch = 2n, last = 16_383, shardId = 0 } = change;
  const slots = [
    { first: 8_000, last },
    { first: 0, last: 7_999 },
  ];
  const status = create(ShardNodeStatusSchema, { shardId, node: "a", role: ShardRole.WRITER, mapEpoch, slots });
  return { shardId: 0, address: "h:1", status };
};
const spare: AskedNode = {
  shardId: 0,
  address: "h:2",
  status: create(ShardNodeStatusSchema, { role: ShardRole.SPARE }),
};
const gone: AskedNode = { shardId: 0, address: "h:3", status: undefined };
const router = { address: "h:9", mapEpoch: 2 };

test("a map that shards and routers have is without a difference, also when a spare is away", () => {
  expect(mapDifferences(source, [writer(), spare, gone], [router])).toEqual([]);
});

const differences: [
  string,
  Partial<MapSource>,
  AskedNode[],
  { address: string; mapEpoch: number | undefined }[],
  string,
][] = [
  ["no map", { map: undefined, problem: "there is none" }, [writer()], [router], "Consul: there is none"],
  ["a shard at another epoch", {}, [writer({ mapEpoch: 3n })], [router], "shard 0 is at epoch 3, the map is epoch 2"],
  ["other slots", {}, [writer({ last: 9_000 })], [router], "shard 0 owns 0-9000, the map gives it 0-16383"],
  ["no writer", {}, [spare, gone], [router], "shard 0: no writer answers"],
  ["a node of another shard", {}, [writer({ shardId: 5 })], [router], "a is registered for shard 0 and has 5"],
  ["a shard too many", {}, [writer(), { ...spare, shardId: 7 }], [router], "shard 7 has nodes, and is not in the map"],
  [
    "a router behind",
    {},
    [writer()],
    [{ address: "h:9", mapEpoch: 1 }],
    "router h:9 follows epoch 1, the map is epoch 2",
  ],
  ["a silent router", {}, [writer()], [{ address: "h:9", mapEpoch: undefined }], "router h:9 does not answer"],
];
for (const [title, change, nodes, routers, said] of differences) {
  test(`${title} is a difference`, () => {
    expect(mapDifferences({ ...source, ...change }, nodes, routers)).toEqual([expect.stringContaining(said)]);
  });
}

test("ranges are written in order, and as few as can be", () => {
  expect(
    rangesText([
      [5, 9],
      [0, 4],
      [11, 11],
    ]),
  ).toBe("0-9, 11-11");
  expect(rangesText([])).toBe("");
});
