import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ShardNodeStatusSchema, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { demoJson } from "./demo-result.ts";
import { formatDuration, progressLines, tallyLine } from "./demo-text.ts";

const figures = {
  ballots: 100,
  recorded: 60,
  repeats: 20,
  rejected: { ELECTION_CLOSED: 5, INVALID_BALLOT: 5 },
  unknown: 4,
  seconds: 1.23456,
  votesPerSecond: 64.6,
  p50Ms: 1.5,
  p99Ms: 9.87654,
  maxMs: 10,
  perShard: new Map([
    ["urna/shard/1", 40],
    ["urna/shard/0", 40],
  ]),
  resends: 0,
};

describe("the line of JSON", () => {
  test("has every field, also when nothing could be done", () => {
    expect(JSON.parse(demoJson({ error: "no" }))).toEqual({
      schema_version: 1,
      ballots: 0,
      recorded: 0,
      repeats: 0,
      rejected: 0,
      unknown: 0,
      seconds: 0,
      votes_per_second: 0,
      p50_ms: 0,
      p99_ms: 0,
      tally_matches_file: false,
      recount_matches_tally: false,
      shards: [],
      error: "no",
    });
  });

  test("every ballot is in one of its counts (I4), and the shards are what their writers say", () => {
    const node = (shardId: number, role: ShardRole, standbyState: string) =>
      create(ShardNodeStatusSchema, { shardId, role, standbyState, votes: 40n });
    const nodes = [node(1, ShardRole.WRITER, "async"), node(0, ShardRole.WRITER, "sync"), node(0, ShardRole.SPARE, "")];
    const verdict = { tallyMatchesFile: true, recountMatchesTally: true, ballots: 80, differences: [] };
    const result = JSON.parse(demoJson({ ballots: 100, replay: { ...figures, unsent: 6 }, verdict, nodes }));
    expect(result).toMatchObject({
      recorded: 60,
      repeats: 20,
      rejected: 10,
      unknown: 10,
      seconds: 1.235,
      p99_ms: 9.877,
    });
    expect(result.recorded + result.repeats + result.rejected + result.unknown).toBe(result.ballots);
    expect(result.shards).toEqual([
      { id: 0, votes: 40, standby_sync: true },
      { id: 1, votes: 40, standby_sync: false },
    ]);
    expect(result.error).toBeNull();
  });
});

describe("the demo's words", () => {
  test("progress shows how far, how fast, how long, and each shard's share", () => {
    const [bar, shares] = progressLines({ ...figures, settled: 90, recentVotesPerSecond: 1234.5 });
    expect(bar).toContain("90 of 100");
    expect(bar).toContain("1,23");
    expect(shares?.trim()).toBe("shard 0 50.0 %   shard 1 50.0 %");
  });

  test("a tally that has not come yet is not a zero (I7)", () => {
    expect(tallyLine(undefined)).toContain("no frame yet");
  });

  test.each([
    [0.4, "0 s"],
    [59, "59 s"],
    [200, "3 min 20 s"],
  ])("%d seconds are %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));
});
