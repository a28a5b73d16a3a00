import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { FrameRule } from "#bench/frame-witness.ts";
import { WatchTallyResponseSchema } from "#proto/generated/urna/v1/tally_service_pb.js";

let number = 0n;

function frame(vector: readonly number[], ada: number, ballots = ada) {
  number += 1n;
  return create(WatchTallyResponseSchema, {
    cut: {
      frame: { incarnation: 1n, number },
      vector: vector.map((batch, shardId) => ({ shardId, batch: BigInt(batch) })),
    },
    region: {
      ballots: BigInt(ballots),
      contests: [{ contestId: "contest", options: [{ optionId: "ada", count: BigInt(ada) }] }],
    },
  });
}

function ruleAfter(sent: number, ...frames: ReturnType<typeof frame>[]): FrameRule {
  const rule = new FrameRule(() => sent);
  for (const seen of frames) rule.see(seen);
  return rule;
}

test("counts that grow with their cut are fine, and so is the same frame twice (I7)", () => {
  const rule = ruleAfter(9, frame([1, 1], 2), frame([1, 1], 2), frame([1, 2], 2), frame([2, 2], 9));
  expect(rule.faults).toEqual([]);
  expect(rule.frames).toBe(4);
});

test("a frame that is behind what was seen, or lacks a shard, is dropped and not compared", () => {
  const rule = ruleAfter(9, frame([2, 2], 5), frame([1, 3], 1), frame([2], 3), frame([2, 3], 6));
  expect(rule.faults).toEqual([]);
  expect(rule.dropped).toBe(2);
});

test("found: a count that falls, more ballots than votes, one cut with two counts (I7)", () => {
  expect(ruleAfter(9, frame([1, 1], 5), frame([2, 1], 4)).faults[0]).toMatch(/contest ada fell|ballots fell/);
  expect(ruleAfter(3, frame([1, 1], 4)).faults[0]).toMatch(/4 ballots, and only 3 votes were sent/);
  expect(ruleAfter(9, frame([1, 1], 4), frame([1, 1], 5)).faults[0]).toMatch(/at the same cut/);
});
