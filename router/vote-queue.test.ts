import { expect, test } from "vitest";
import { frameVotesMax } from "#proto/limits.ts";
import { Admission } from "./admission.ts";
import type { CachedElection } from "./election-cache.ts";
import { VoteQueue } from "./vote-queue.ts";
import { noRow, VoteTable } from "./vote-table.ts";

const [one, two] = ["one", "two"].map((electionId) => ({ electionId }) as CachedElection) as [
  CachedElection,
  CachedElection,
];
const owner = { accepted() {}, refused() {} };

/** Rows of a table that gave none back are numbered in the order of their admission. */
function setUp() {
  const admission = new Admission({ votesMax: 10_000, bytesMax: 100_000_000 });
  const table = new VoteTable(admission);
  const queue = new VoteQueue(table);
  let index = 0;
  const add = (election: CachedElection, count: number) =>
    Array.from({ length: count }, () => {
      const row = table.admit(owner, index++, 1, 0, false);
      queue.push(election, row);
      return row;
    });
  const takeNext = () => {
    const next = queue.next();
    for (const row of next?.rows ?? []) table.release(row);
    return next === undefined ? undefined : [...next.rows];
  };
  return { admission, table, queue, add, takeNext };
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
  const taken = queue.next()?.rows ?? new Uint32Array();
  add(one, 1);
  queue.unshift(one, taken);
  expect(takeNext()).toEqual([0, 1, 2, 3, 4]);
});

test("settled votes are never sent, and give their room back when they leave (I9)", () => {
  const { admission, table, queue, add, takeNext } = setUp();
  const [first, settled = noRow, last] = add(one, 3);
  table.expire(settled);
  expect(admission.votes).toBe(3);
  expect(takeNext()).toEqual([first, last]);
  expect(admission.votes).toBe(2);
  const late = add(two, 100);
  for (const row of late.slice(1)) table.expire(row);
  queue.sweep();
  expect(queue.length).toBe(1);
  expect(admission.votes).toBe(3);
  expect(takeNext()).toEqual([late[0]]);
});

test("a lane that is filled, swept and put back to again and again keeps its order", () => {
  const { table, queue, add, takeNext } = setUp();
  for (let round = 0; round < 5; round++) {
    const rows = add(one, 700 + round);
    const sent = queue.next()?.rows ?? new Uint32Array();
    const [second = noRow] = rows.slice(1);
    const later = add(one, 300);
    queue.unshift(one, sent);
    table.expire(second);
    queue.sweep();
    const left = [...rows, ...later].filter((row) => row !== second);
    expect(queue.length).toBe(left.length);
    expect(takeNext()).toEqual(left);
    for (const row of left) table.expire(row);
  }
  expect(queue.length).toBe(0);
});

test("all that is taken from a queue is unsettled and held by nobody", () => {
  const { admission, table, queue, add } = setUp();
  const [first = noRow, second = noRow] = add(one, 2);
  const [third = noRow] = add(two, 1);
  table.expire(second);
  expect(queue.takeAll()).toEqual([first, third]);
  expect(admission.votes).toBe(2);
  for (const row of [first, third]) table.expire(row);
  expect(admission.votes).toBe(0);
});

test("nothing is taken in beyond the limits, in count or in bytes (I9)", () => {
  const byCount = new Admission({ votesMax: 2, bytesMax: 1_000 });
  expect([byCount.take(1), byCount.take(1), byCount.take(1)]).toEqual([true, true, false]);
  const byBytes = new Admission({ votesMax: 10, bytesMax: 100 });
  expect([byBytes.take(60), byBytes.take(60), byBytes.take(40)]).toEqual([true, false, true]);
  byBytes.letGo(60);
  expect(byBytes.take(60)).toBe(true);
});
