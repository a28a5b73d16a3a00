import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ShardNodeStatusSchema, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { rollOrder, unwell } from "./roll-order.ts";

const node = (shardId: number, letter: string, role: ShardRole, more = {}) =>
  create(ShardNodeStatusSchema, { shardId, node: `shard-${shardId}-${letter}`, role, standbyState: "sync", ...more });
const [writer, spare] = [ShardRole.WRITER, ShardRole.SPARE];
const server = (part: "router" | "tally", health: "serving" | "not serving" | "unreachable" = "serving") => ({
  part,
  grpc: "127.0.0.1:1",
  connect: undefined,
  health,
  degraded: [],
});

test("spares go first, then writers, the tally, the routers; a node that does not say what it is counts as a spare", () => {
  const processes = [
    { name: "shard-0-a", kind: "shard-node", shard: 0, pid: 1 },
    { name: "shard-0-b", kind: "shard-node", shard: 0, pid: 2 },
    { name: "shard-1-a", kind: "shard-node", shard: 1, pid: 3 },
    { name: "shard-1-b", kind: "shard-node", shard: 1, pid: 0 },
    { name: "tally", kind: "tally", pid: 4 },
    { name: "router-0", kind: "router", pid: 5 },
  ] as const;
  const nodes = [node(0, "a", writer), node(0, "b", spare), node(1, "a", writer), node(1, "b", ShardRole.UNSPECIFIED)];
  expect(rollOrder(processes, nodes).map(({ process, role }) => `${process} ${role}`)).toEqual([
    "shard-0-b spare",
    "shard-1-b spare",
    "shard-0-a writer",
    "shard-1-a writer",
    "tally tally",
    "router-0 router",
  ]);
});

describe("what must be well before the next process goes", () => {
  const well = {
    source: "",
    servers: [server("router"), server("tally")],
    nodes: [node(0, "a", writer), node(0, "b", spare)],
  };

  test("is well when all serve", () => expect(unwell(well)).toEqual([]));

  const faults = [
    ["a router that does not serve", { ...well, servers: [server("router", "not serving")] }, "router"],
    ["a tally that is away", { ...well, servers: [server("tally", "unreachable")] }, "tally"],
    ["a shard without a writer", { ...well, nodes: [node(0, "a", spare)] }, "shard 0: no writer"],
    [
      "a node that is away",
      { ...well, nodes: [...well.nodes, node(0, "c", ShardRole.UNSPECIFIED, { notReadyBecause: "unreachable" })] },
      "unreachable",
    ],
    [
      "a standby that is not in step",
      { ...well, nodes: [node(0, "a", writer, { standbyState: "async" })] },
      "not in sync",
    ],
  ] as const;
  for (const [what, report, says] of faults) {
    test(`is not: ${what}`, () => expect(unwell(report).join()).toContain(says));
  }
});
