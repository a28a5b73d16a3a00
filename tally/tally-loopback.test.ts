import { toJson } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ResultsVisibility } from "#proto/generated/urna/v1/election_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { GetTallyResponse, RecountResponse, TallyCut } from "#proto/generated/urna/v1/tally_service_pb.js";
import { GetTallyResponseSchema, TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { ballotFor, CLOSED, CREATED, cell, leaf, OPEN, sampleDefinition } from "./sample-election.ts";
import { ScriptedMesh } from "./scripted-mesh.ts";
import type { FollowerTimes } from "./shard-follower.ts";

let mesh: ScriptedMesh | undefined;

afterEach(async () => {
  await mesh?.stop();
  mesh = undefined;
});

/** Shards that have created and opened the election, with one vote for Ada each. */
async function startMesh(options: { shards: number; nodesEach?: number; times?: Partial<FollowerTimes> }) {
  mesh = await ScriptedMesh.start(options);
  for (const log of mesh.logs) {
    log.definitions.set("mayor", sampleDefinition());
    log.append({ state: CREATED }, { state: OPEN }, vote());
  }
  return mesh;
}

const vote = (option: number = cell.ada) => ({ deltas: ballotFor(leaf.hill, option) });
const ballots = (tally: GetTallyResponse) => tally.region?.ballots;
const missing = (cut: TallyCut | undefined) => cut?.missing.map(({ shardId }) => shardId);
const vector = (cut: TallyCut | undefined) => cut?.vector.map(({ shardId, batch }) => [shardId, Number(batch)]);
const whole = (count: bigint) => (tally: GetTallyResponse) =>
  ballots(tally) === count && missing(tally.cut)?.length === 0;

test("all shards' counts are in one frame, over gRPC and over Connect JSON alike, and both agree", async () => {
  const running = await startMesh({ shards: 2 });
  const tally = await running.openTally();
  const root = await tally.rootOnce(whole(2n));
  expect(vector(root.cut)).toEqual([
    [0, 3],
    [1, 3],
  ]);
  expect(root.cut).toMatchObject({ state: OPEN, final: false, sealed: false });
  const web = await tally.web.getTally({ electionId: "mayor", regionId: "north" });
  expect(web.region).toMatchObject({ regionId: "north", ballots: 2n });
  expect(toJson(GetTallyResponseSchema, web)).toMatchObject({ region: { ballots: "2" } });
  await expect(tally.client.getTally({ electionId: "mayor", regionId: "nowhere" })).rejects.toMatchObject({
    reason: "NOT_FOUND",
  });
});

test("a table has every leaf at one cut", async () => {
  const running = await startMesh({ shards: 2 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  const regions: unknown[] = [];
  for await (const table of tally.client.getTallyTable({ electionId: "mayor" })) {
    expect(vector(table.cut)).toEqual([
      [0, 3],
      [1, 3],
    ]);
    for (const region of table.regions) regions.push([region.regionId, region.ballots]);
  }
  expect(regions).toEqual([
    ["north/hill", 2n],
    ["north/town/east", 0n],
    ["north/town/west", 0n],
    ["south/coast", 0n],
  ]);
});

test("a watcher gets the current frame at once and later ones as votes come; no count falls (I7)", async () => {
  const running = await startMesh({ shards: 2 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  const seen: bigint[] = [];
  for await (const frame of tally.client.watchTally({ electionId: "mayor" })) {
    seen.push(frame.region?.ballots ?? -1n);
    if (seen.at(-1) === 5n) break;
    if (seen.length <= 3) running.log(seen.length % 2).append(vote());
  }
  expect(seen[0]).toBe(2n);
  expect(seen).toEqual([...seen].sort());
});

describe("every batch is folded exactly once (I5)", () => {
  test("when the writer changes in the middle of a stream", async () => {
    const running = await startMesh({ shards: 1, nodesEach: 2 });
    const [first, second] = [running.node(0, 0), running.node(0, 1)];
    second.role = ShardRole.SPARE;
    const tally = await running.openTally();
    await tally.rootOnce(whole(1n));
    first.role = ShardRole.SPARE;
    second.role = ShardRole.WRITER;
    first.cutStreams();
    running.log(0).append(vote(), vote(cell.ben));
    const root = await tally.rootOnce(whole(3n));
    expect(vector(root.cut)).toEqual([[0, 5]]);
    expect(second.streamsAfter).toEqual([3n]);
  });

  test("when the stream breaks after every message", async () => {
    const running = await startMesh({ shards: 1 });
    const node = running.node(0);
    node.distort = (message) => {
      setImmediate(() => node.cutStreams());
      return [message];
    };
    const tally = await running.openTally();
    running.log(0).append(...Array.from({ length: 7 }, () => vote()));
    const root = await tally.rootOnce((answer) => ballots(answer) === 8n);
    expect(vector(root.cut)).toEqual([[0, 10]]);
    expect(node.streamsAfter.length).toBeGreaterThan(1);
  });

  test("when a shard sends batches twice, and when it leaves some out", async () => {
    const running = await startMesh({ shards: 1, times: { silenceMs: 200 } });
    let messages = 0;
    running.node(0).distort = (message) => {
      messages += 1;
      if (messages % 3 === 0) return [];
      return messages % 4 === 0 ? [message, message] : [message];
    };
    const tally = await running.openTally();
    running.log(0).append(...Array.from({ length: 9 }, () => vote()));
    const root = await tally.rootOnce((answer) => ballots(answer) === 10n);
    expect(vector(root.cut)).toEqual([[0, 12]]);
  });

  test("when the definition of an election cannot be had at first", async () => {
    const running = await startMesh({ shards: 1 });
    running.node(0).definitionFailures = 2;
    const tally = await running.openTally();
    const root = await tally.rootOnce(whole(1n));
    expect(vector(root.cut)).toEqual([[0, 3]]);
  });

  test("when the tally itself is restarted: a later incarnation comes to the same counts", async () => {
    const running = await startMesh({ shards: 2 });
    const tally = await running.openTally();
    const before = await tally.rootOnce(whole(2n));
    await tally.stop();
    const successor = await running.openTally();
    const after = await successor.rootOnce(whole(2n));
    expect(after.region).toEqual(before.region);
    expect(after.cut?.vector).toEqual(before.cut?.vector);
    expect(after.cut?.frame?.incarnation).toBeGreaterThan(before.cut?.frame?.incarnation ?? 0n);
  });
});

test("a shard that sends what cannot be is missing, and its counts stay as they were", async () => {
  const running = await startMesh({ shards: 2 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  running.log(1).append({ deltas: [[99, cell.ada, 1]] });
  const root = await tally.rootOnce(({ cut }) => missing(cut)?.includes(1) === true);
  expect(ballots(root)).toBe(2n);
  expect(vector(root.cut)).toEqual([
    [0, 3],
    [1, 3],
  ]);
});

test("a shard that was not read is absent from the cut and missing since the start; the others are counted (I7)", async () => {
  const running = await startMesh({ shards: 2 });
  running.node(1).role = ShardRole.SPARE;
  const startMs = Date.now();
  const tally = await running.openTally();
  const root = await tally.rootOnce((answer) => ballots(answer) === 1n && missing(answer.cut)?.join() === "1");
  expect(vector(root.cut)).toEqual([[0, 3]]);
  const since = root.cut?.missing[0]?.since;
  expect(since && timestampMs(since)).toBeGreaterThanOrEqual(startMs);
  running.node(1).role = ShardRole.WRITER;
  await tally.rootOnce(whole(2n));
});

test("a shard that stops is missing since its last message, keeps its counts, and is whole again when it is back", async () => {
  const running = await startMesh({ shards: 2, nodesEach: 2 });
  running.node(1, 1).role = ShardRole.SPARE;
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  await running.node(1, 0).stop();
  const root = await tally.rootOnce(({ cut }) => missing(cut)?.includes(1) === true);
  expect(ballots(root)).toBe(2n);
  running.node(1, 1).role = ShardRole.WRITER;
  running.log(1).append(vote());
  await tally.rootOnce(whole(3n));
});

test("a writer that freezes is left for the one that took over", async () => {
  const running = await startMesh({ shards: 1, nodesEach: 2, times: { silenceMs: 300 } });
  running.node(0, 1).role = ShardRole.SPARE;
  const tally = await running.openTally();
  await tally.rootOnce((answer) => ballots(answer) === 1n);
  running.node(0, 0).silent = true;
  running.node(0, 0).role = ShardRole.SPARE;
  running.node(0, 1).role = ShardRole.WRITER;
  running.log(0).append(vote());
  await tally.rootOnce((answer) => ballots(answer) === 2n);
});

test("a shard that lost batches is missing, no count falls, and the health says so until they are back (I7)", async () => {
  const running = await startMesh({ shards: 2, times: { behindMsMax: 200 } });
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  expect(await tally.health(TallyService.typeName)).toBe("SERVING");
  running.log(1).lose(1);
  running.node(1).cutStreams();
  await vi.waitFor(async () => expect(await tally.health(TallyService.typeName)).toBe("NOT_SERVING"), 5_000);
  expect(await tally.health("")).toBe("SERVING");
  const root = await tally.root();
  expect([ballots(root), missing(root.cut)]).toEqual([2n, [1]]);
  running.log(1).append(vote(), vote());
  await tally.rootOnce(whole(3n));
  expect(await tally.health(TallyService.typeName)).toBe("SERVING");
});

test("an election that is created while somebody asks for it is waited for; one that is not is unknown", async () => {
  const running = await startMesh({ shards: 2 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  const asked = tally.root("school-board");
  for (const log of running.logs) {
    log.definitions.set("school-board", sampleDefinition({ electionId: "school-board" }));
    log.append({ electionId: "school-board", state: CREATED });
  }
  expect((await asked).cut?.state).toBe(CREATED);
  await expect(tally.root("nobody")).rejects.toMatchObject({ reason: "UNKNOWN_ELECTION" });
  await expect(tally.client.getTally({ electionId: "nobody" }, { deadlineMs: 700 })).rejects.toMatchObject({
    reason: "UNKNOWN_ELECTION",
  });
});

test("while no shard has been read, an election is not said to be unknown", async () => {
  const running = await startMesh({ shards: 1 });
  running.node(0).role = ShardRole.SPARE;
  const tally = await running.openTally();
  await expect(tally.root()).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
});

test("a shard that the directory names later is followed too", async () => {
  const running = await startMesh({ shards: 1 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(1n));
  await running.addShard();
  running.log(1).definitions.set("mayor", sampleDefinition());
  running.log(1).append({ state: CREATED }, { state: OPEN }, vote());
  const root = await tally.rootOnce(whole(2n));
  expect(vector(root.cut)).toEqual([
    [0, 3],
    [1, 3],
  ]);
});

describe("a recount", () => {
  async function recount(tally: Awaited<ReturnType<ScriptedMesh["openTally"]>>) {
    const parts: RecountResponse["part"][] = [];
    for await (const { part } of tally.client.recount({ electionId: "mayor" })) parts.push(part);
    const result = parts.at(-1);
    if (result?.case !== "result") throw new Error("the recount ended without a result");
    return { result: result.value, progressCount: parts.length - 1 };
  }

  test("of rows that nobody touched agrees with the tally, and tells its progress", async () => {
    const running = await startMesh({ shards: 2 });
    const tally = await running.openTally();
    await tally.rootOnce(whole(2n));
    const { result, progressCount } = await recount(tally);
    expect(result).toMatchObject({ matches: true, rowsCounted: 2n, differenceCount: 0n });
    expect(progressCount).toBeGreaterThan(0);
  });

  test("of a row that was changed differs", async () => {
    const running = await startMesh({ shards: 2 });
    const tally = await running.openTally();
    await tally.rootOnce(whole(2n));
    running.log(1).rows = ballotFor(leaf.hill, cell.ben);
    const { result } = await recount(tally);
    expect(result).toMatchObject({ matches: false, rowsCounted: 2n, differenceCount: 2n });
    expect(result.differences.map(({ shardId, optionId }) => [shardId, optionId])).toEqual([
      [1, "ada"],
      [1, "ben"],
    ]);
  });

  test("outlives a change of the writer", async () => {
    const running = await startMesh({ shards: 1, nodesEach: 2 });
    const [first, second] = [running.node(0, 0), running.node(0, 1)];
    second.role = ShardRole.SPARE;
    const tally = await running.openTally();
    await tally.rootOnce(whole(1n));
    first.role = ShardRole.SPARE;
    const counting = recount(tally);
    second.role = ShardRole.WRITER;
    expect((await counting).result.matches).toBe(true);
  });
});

test("a sealed election shows ballots only, and refuses a recount, until it is closed everywhere", async () => {
  mesh = await ScriptedMesh.start({ shards: 2 });
  for (const log of mesh.logs) {
    log.definitions.set("mayor", sampleDefinition({ results: ResultsVisibility.SEALED }));
    log.append({ state: OPEN }, vote());
  }
  const tally = await mesh.openTally();
  const sealed = await tally.rootOnce(whole(2n));
  expect(sealed.cut?.sealed).toBe(true);
  expect(sealed.region?.contests).toEqual([]);
  for await (const { regions } of tally.client.getTallyTable({ electionId: "mayor" })) {
    expect(regions.flatMap(({ contests }) => contests)).toEqual([]);
  }
  const counting = async () => {
    for await (const _ of tally.client.recount({ electionId: "mayor" }));
  };
  await expect(counting()).rejects.toMatchObject({ reason: "RESULTS_SEALED" });
  for (const log of mesh.logs) log.append({ state: CLOSED });
  const opened = await tally.rootOnce(({ cut }) => cut?.final === true);
  expect(opened.cut).toMatchObject({ sealed: false, state: CLOSED });
  expect(opened.region?.contests.length).toBe(2);
  await counting();
});

test("a tally that drains says NOT_SERVING, ends its watchers with TALLY_UNAVAILABLE, and is done soon", async () => {
  const running = await startMesh({ shards: 1 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(1n));
  const watching = (async () => {
    for await (const _ of tally.client.watchTally({ electionId: "mayor" })) void tally.stop();
  })();
  await expect(watching).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
  const startMs = performance.now();
  await tally.stop();
  expect(performance.now() - startMs).toBeLessThan(3_000);
});

test("metrics tell frames, watchers, and for each shard how far it is read", async () => {
  const running = await startMesh({ shards: 2 });
  const tally = await running.openTally();
  await tally.rootOnce(whole(2n));
  const text = await (await fetch(tally.metricsUrl)).text();
  expect(text).toMatch(/^urna_tally_frames_total [1-9]/m);
  expect(text).toMatch(/^urna_tally_watchers 0$/m);
  for (const shard of [0, 1]) {
    expect(text).toMatch(new RegExp(`^urna_tally_folded_batch\\{shard="${shard}"\\} 3$`, "m"));
    expect(text).toMatch(new RegExp(`^urna_tally_shard_missing\\{shard="${shard}"\\} 0$`, "m"));
    expect(text).toMatch(new RegExp(`^urna_tally_shard_lag_seconds\\{shard="${shard}"\\} \\d`, "m"));
  }
});
