import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { VoteSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { frameVotesMax } from "#proto/limits.ts";
import { Admission } from "./admission.ts";
import type { CachedElection } from "./election-cache.ts";
import { PendingVote } from "./pending-vote.ts";
import { VoteQueue } from "./vote-queue.ts";

const [one, two] = ["one", "two"].map((electionId) => ({ electionId }) as CachedElection) as [
  CachedElection,
  CachedElection,
];
const owner = { accepted() {}, refused() {} };

function setUp() {
  const admission = new Admission({ votesMax: 10_000, bytesMax: 100_000_000 });
  const queue = new VoteQueue();
  let index = 0;
  const add = (election: CachedElection, count: number) =>
    Array.from({ length: count }, () => {
      const vote = PendingVote.admit(owner, index++, create(VoteSchema), 0, admission);
      if (vote === undefined) throw new Error("there is room");
      queue.push(election, vote);
      return vote;
    });
  const takeNext = () => {
    const next = queue.next();
    for (const vote of next?.votes ?? []) vote.release();
    return next?.votes.map((vote) => vote.index);
  };
  return { admission, queue, add, takeNext };
}

test("votes leave in the order in which they came, a frame's worth at a time", () => {
  const { queue, add, takeNext } = setUp();
  add(one, frameVotesMax + 10);
  expect(takeNext()).toEqual(Array.from({ length: frameVotesMax }, (_, i) => i));
  expect(takeNext()).toEqual(Array.from({ length: 10 }, (_, i) => frameVotesMax + i));
  expect(takeNext()).toBeUndefined();
  expect(queue.length).toBe(0);
});

test("elections take turns", () => {
  const { add, takeNext } = setUp();
  add(one, frameVotesMax + 1);
  add(two, 1);
  expect(takeNext()).toHaveLength(frameVotesMax);
  expect(takeNext()).toEqual([frameVotesMax + 1]);
  expect(takeNext()).toEqual([frameVotesMax]);
});

test("votes that were sent in vain go first, in their old order", () => {
  const { queue, add, takeNext } = setUp();
  add(one, 4);
  const taken = queue.next()?.votes ?? [];
  add(one, 1);
  queue.unshift(one, taken);
  expect(takeNext()).toEqual([0, 1, 2, 3, 4]);
});

test("settled votes are never sent, and give their room back when they leave (I9)", () => {
  const { admission, queue, add, takeNext } = setUp();
  const [, settled] = add(one, 3);
  settled?.expire();
  expect(admission.votes).toBe(3);
  expect(takeNext()).toEqual([0, 2]);
  expect(admission.votes).toBe(2);
  const late = add(two, 100);
  for (const vote of late.slice(1)) vote.expire();
  queue.sweep();
  expect(queue.length).toBe(1);
  expect(admission.votes).toBe(3);
  expect(takeNext()).toEqual([late[0]?.index]);
});

test("a vote gives its room back once, whichever comes first: its outcome or its leaving", () => {
  const { admission, queue, add } = setUp();
  const [vote] = add(one, 1);
  queue.next();
  vote?.release();
  expect(admission.votes).toBe(1);
  vote?.expire();
  vote?.expire();
  expect({ votes: admission.votes, bytes: admission.bytes }).toEqual({ votes: 0, bytes: 0 });
});

test("nothing is taken in beyond the limits, in count or in bytes (I9)", () => {
  const byCount = new Admission({ votesMax: 2, bytesMax: 1_000 });
  expect([byCount.take(1), byCount.take(1), byCount.take(1)]).toEqual([true, true, false]);
  const byBytes = new Admission({ votesMax: 10, bytesMax: 100 });
  expect([byBytes.take(60), byBytes.take(60), byBytes.take(40)]).toEqual([true, false, true]);
  byBytes.letGo(60);
  expect(byBytes.take(60)).toBe(true);
});
