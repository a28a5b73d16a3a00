import { expect, test } from "vitest";
import type { DirectoryView } from "#mesh/directory.ts";
import { nobodyAt } from "#mesh/directory.ts";
import type { SlotRange } from "#proto/slots.ts";
import { mapText } from "./map-document.ts";
import { RegistryPicture } from "./registry-picture.ts";
import type { ServiceInstance } from "./service-instances.ts";

const halves: readonly SlotRange[] = [
  [0, 8_191],
  [8_192, 16_383],
];
const mapOf = (epoch: number, shardIds = [0, 1], deployment = "town") =>
  mapText({ deployment, epoch, shards: halves.map((slots, i) => ({ shardId: shardIds[i] ?? 0, slots: [slots] })) });
const node = (shardId: number, name: string, port: number, reachable = true): ServiceInstance => ({
  key: `shard-${shardId}-${name} on m1`,
  id: `shard-${shardId}-${name}`,
  address: `h:${port}`,
  shardId,
  process: "",
  reachable,
});
const tally = (id: string, reachable = true): ServiceInstance => ({ ...node(0, id, 9, reachable), address: `${id}:9` });
const [a, b, c] = [node(0, "a", 1), node(0, "b", 2), node(1, "a", 3)] as const;

function opened(before?: DirectoryView): RegistryPicture {
  const picture = new RegistryPicture(before, 0);
  picture.takeMap(mapOf(1), 0);
  picture.takeShards([a, b, c], 0);
  picture.takeTallies([tally("t")]);
  return picture;
}

const nodesOf = (picture: RegistryPicture, nowMs: number) => picture.view(nowMs)?.map.shards.map(({ nodes }) => nodes);

test("map, nodes and tally make a view", () => {
  const picture = opened();
  expect(picture.mapProblem).toBe("");
  expect(picture.view(0)).toEqual({
    deployment: "town",
    map: {
      epoch: 1,
      shards: [
        { shardId: 0, slots: [halves[0]], nodes: ["h:1", "h:2"] },
        { shardId: 1, slots: [halves[1]], nodes: ["h:3"] },
      ],
    },
    tally: "t:9",
  });
});

test("there is no view before there is a map; without a tally nobody is asked", () => {
  const picture = new RegistryPicture(undefined, 0);
  expect(picture.mapProblem).toBeUndefined();
  picture.takeShards([a, c], 0);
  picture.takeMap(undefined, 0);
  expect(picture.view(60_000)).toBeUndefined();
  expect(picture.mapProblem).toContain("holds no shard map");
  picture.takeMap(mapOf(1), 60_000);
  expect(picture.view(60_000)?.tally).toBe(nobodyAt);
});

test("the first view waits for every shard's node, and goes without after a while: a shard may be down", () => {
  const picture = new RegistryPicture(undefined, 0);
  picture.takeMap(mapOf(1), 0);
  picture.takeShards([a], 0);
  expect(picture.view(4_999)).toBeUndefined();
  expect(picture.mapProblem).toContain("names shard 1");
  expect(nodesOf(picture, 5_000)).toEqual([["h:1"], []]);
  expect(picture.mapProblem).toBe("");
});

const refused: [string, string, string][] = [
  ["an older epoch", mapOf(0), "epoch 0 is older than 1"],
  ["other slots under its epoch", mapOf(1, [1, 0]), "still is epoch 1"],
  ["a shard that nobody has registered", mapOf(2, [0, 7]), "names shard 7"],
  ["another deployment", mapOf(2, [0, 1], "city"), 'the deployment "city"'],
  ["a slot without owner", mapOf(2).replace("16383", "16382"), "slot 16383 has no owner"],
  ["half of it", mapOf(2).slice(0, 50), "no JSON"],
];
for (const [title, text, problem] of refused) {
  test(`a map with ${title} is refused by name and the one before stays`, () => {
    const picture = opened();
    const before = picture.view(0);
    picture.takeMap(text, 60_000);
    expect(picture.mapProblem).toContain(problem);
    expect(picture.view(60_000)).toEqual(before);
    picture.takeMap(mapOf(1), 60_000);
    expect(picture.mapProblem).toBe("");
  });
}

test("a new shard's map is taken over as soon as the shard is registered", () => {
  const picture = opened();
  picture.takeMap(mapOf(2, [0, 7]), 1);
  expect(picture.view(60_000)?.map.epoch).toBe(1);
  picture.takeShards([a, b, c, node(7, "a", 4)], 60_000);
  expect(picture.view(60_000)?.map.epoch).toBe(2);
});

test("a node that left is kept for ten seconds, then dropped; one that moved is followed at once", () => {
  const picture = opened();
  picture.takeShards([a, c], 100_000);
  picture.takeShards([a, c], 109_999);
  expect(nodesOf(picture, 109_999)).toEqual([["h:1", "h:2"], ["h:3"]]);
  picture.takeShards([a, c], 110_000);
  expect(nodesOf(picture, 110_000)).toEqual([["h:1"], ["h:3"]]);
  picture.takeShards([{ ...a, address: "h:5" }, c], 110_001);
  expect(nodesOf(picture, 110_001)).toEqual([["h:5"], ["h:3"]]);
});

test("the last nodes of a shard are kept for good", () => {
  const picture = opened();
  for (const nowMs of [100_000, 200_000]) picture.takeShards([c], nowMs);
  expect(nodesOf(picture, 200_000)).toEqual([["h:1", "h:2"], ["h:3"]]);
});

test("a node that is registered and refuses connections stays: Consul deposes nobody", () => {
  const picture = opened();
  for (const nowMs of [100_000, 200_000]) picture.takeShards([{ ...a, reachable: false }, b, c], nowMs);
  expect(nodesOf(picture, 200_000)).toEqual([["h:1", "h:2"], ["h:3"]]);
});

test("a registry that was wiped drops nobody until everybody had time to come back", () => {
  const picture = opened();
  const before = picture.view(0);
  picture.startedAnew(100_000);
  picture.takeMap(undefined, 100_000);
  for (const nowMs of [100_000, 150_000]) picture.takeShards([a, c], nowMs);
  expect(picture.view(150_000)).toEqual(before);
  picture.takeMap(mapOf(1), 150_000);
  picture.takeShards([a, c], 159_999);
  expect(picture.view(159_999)).toEqual(before);
  picture.takeShards([a, c], 160_000);
  expect(nodesOf(picture, 160_000)).toEqual([["h:1"], ["h:3"]]);
});

test("what an earlier process has seen is shown until the registry says more, and never an older epoch", () => {
  const before: DirectoryView = {
    deployment: "town",
    map: {
      epoch: 4,
      shards: [
        { shardId: 0, slots: [[0, 8_191]], nodes: ["h:1", "old:1"] },
        { shardId: 1, slots: [[8_192, 16_383]], nodes: ["h:3"] },
      ],
    },
    tally: "old:9",
  };
  const picture = new RegistryPicture(before, 0);
  expect(picture.view(0)).toEqual(before);
  picture.takeMap(mapOf(3), 0);
  expect(picture.mapProblem).toContain("epoch 3 is older than 4");
  picture.takeMap(mapOf(4), 0);
  picture.takeShards([a, b, c], 0);
  expect(nodesOf(picture, 0)).toEqual([["h:1", "h:2", "old:1"], ["h:3"]]);
  picture.takeShards([a, b, c], 10_000);
  expect(nodesOf(picture, 10_000)).toEqual([["h:1", "h:2"], ["h:3"]]);
});

test("of two tallies the one that accepts connections is asked; when none is listed the last one stays", () => {
  const picture = opened();
  picture.takeTallies([tally("t", false), tally("u")]);
  expect(picture.view(0)?.tally).toBe("u:9");
  picture.takeTallies([tally("u", false)]);
  expect(picture.view(0)?.tally).toBe("u:9");
  picture.takeTallies([]);
  expect(picture.view(0)?.tally).toBe("u:9");
});
