import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ShardNodeStatusSchema, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { TallyCutSchema } from "#proto/generated/urna/v1/tally_service_pb.js";
import { shardLines } from "./shard-model.ts";

const cut = create(TallyCutSchema, {
  vector: [
    { shardId: 1, batch: 1_200n },
    { shardId: 0, batch: 1_100n },
  ],
});

function node(init: MessageInitShape<typeof ShardNodeStatusSchema>) {
  const serving = { role: ShardRole.WRITER, batch: 1_201n, votes: 400_000n, standbyState: "sync" };
  return create(ShardNodeStatusSchema, { ...serving, ...init });
}

const spare = node({ shardId: 0, node: "shard-0-b", role: ShardRole.SPARE });

describe("a line a shard", () => {
  test("comes from the frame alone where the mesh's state is not known", () => {
    expect(shardLines(cut, undefined).map(({ shardId, counted, votes, healthy }) => [shardId, counted, votes, healthy]))
      // In shard order, whatever the order on the wire.
      .toEqual([
        [0, "1,100", "–", true],
        [1, "1,200", "–", true],
      ]);
  });

  test("shows the writer's batch, votes and standby, and counts the spares", () => {
    const [line] = shardLines(cut, [spare, node({ shardId: 0, node: "shard-0-a", standbyLagBytes: 34_812n })]);
    expect(line).toEqual({
      shardId: 0,
      batch: "1,201",
      counted: "1,100",
      verified: undefined,
      votes: "400,000",
      standby: "sync, 34 kB behind",
      healthy: true,
      note: "shard-0-a writes, 1 spare",
    });
  });

  test("shows how far an auditor has verified it, where one follows", () => {
    const audited = create(TallyCutSchema, {
      vector: cut.vector,
      verifiedThrough: [{ shardId: 1, batch: 1_199n }],
    });
    expect(shardLines(audited, undefined).map(({ shardId, verified }) => [shardId, verified])).toEqual([
      [0, undefined],
      [1, "1,199"],
    ]);
  });

  test("says why no node writes", () => {
    const gone = node({ shardId: 0, node: "shard-0-a", role: ShardRole.UNSPECIFIED, notReadyBecause: "unreachable" });
    const [line] = shardLines(cut, [gone, spare]);
    expect(line).toMatchObject({
      healthy: false,
      batch: "–",
      note: "no writer (shard-0-a: unreachable, shard-0-b: spare)",
    });
  });

  test("names the setting or the fault for which a writer does not serve (I1)", () => {
    const because = "no synchronous standby of a known name is connected";
    const [line] = shardLines(cut, [
      node({ shardId: 0, node: "shard-0-a", standbyState: "", notReadyBecause: because }),
    ]);
    expect(line).toMatchObject({ healthy: false, batch: "1,201", standby: "none", note: `does not serve: ${because}` });
  });

  test("shows the writer that serves when two nodes take themselves for it (I6)", () => {
    const deposed = node({ shardId: 0, node: "shard-0-b", batch: 900n, notReadyBecause: "deposed" });
    const [line] = shardLines(cut, [deposed, node({ shardId: 0, node: "shard-0-a" })]);
    expect(line).toMatchObject({ healthy: true, batch: "1,201", note: "shard-0-a writes, 1 spare" });
  });

  test("is there for a shard that the tally has never read", () => {
    const missing = create(TallyCutSchema, { missing: [{ shardId: 3 }] });
    expect(shardLines(missing, undefined)).toMatchObject([
      { shardId: 3, counted: "–", note: "not read since the start" },
    ]);
  });
});
