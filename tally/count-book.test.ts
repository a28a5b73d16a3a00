import { beforeEach, describe, expect, test } from "vitest";
import { CountBook } from "./count-book.ts";
import type { ElectionSnapshot } from "./election-counts.ts";
import { cellIndex } from "./election-counts.ts";
import type { MessageContent } from "./sample-election.ts";
import { ballotFor, CLOSED, CREATED, cell, countsMessage, leaf, OPEN, sampleShape } from "./sample-election.ts";

let book: CountBook;

beforeEach(() => {
  book = new CountBook([0, 1]);
  book.define(sampleShape());
});

const fold = (shardId: number, content: MessageContent) => book.fold(shardId, countsMessage(content));

function mayor(): ElectionSnapshot {
  const election = book.snapshot().elections.get("mayor");
  if (election === undefined) throw new Error("the book does not know the election");
  return election;
}

function count(shardId: number, region: number, cellNumber: number): number {
  const { shape, counts } = mayor();
  return counts.get(shardId)?.get(cellIndex(shape, region, cellNumber)) ?? 0;
}

describe("every batch is folded exactly once, in order (I5)", () => {
  test("batches that follow each other are added up", () => {
    expect(fold(0, { from: 1, state: OPEN })).toEqual({ kind: "folded" });
    fold(0, { from: 2, through: 9, deltas: ballotFor(leaf.hill, cell.ada) });
    fold(0, { from: 10, deltas: ballotFor(leaf.hill, cell.ada) });
    expect(count(0, leaf.hill, cell.ada)).toBe(2);
    expect(book.foldedBatch(0)).toBe(10n);
  });

  test("a batch that comes twice is not added twice", () => {
    fold(0, { from: 1, deltas: ballotFor(leaf.hill, cell.ada) });
    const again = fold(0, { from: 1, deltas: ballotFor(leaf.hill, cell.ada) });
    expect(again).toEqual({ kind: "out-of-order", expectedBatch: 2n, fromBatch: 1n });
    expect(count(0, leaf.hill, cell.ada)).toBe(1);
  });

  test("a batch after a gap is not added, and the one that was due still is", () => {
    fold(0, { from: 1 });
    const ahead = fold(0, { from: 3, deltas: ballotFor(leaf.hill, cell.ben) });
    expect(ahead).toEqual({ kind: "out-of-order", expectedBatch: 2n, fromBatch: 3n });
    fold(0, { from: 2, through: 3, deltas: ballotFor(leaf.hill, cell.ben) });
    expect(count(0, leaf.hill, cell.ben)).toBe(1);
  });

  test("a range that overlaps what was folded is not added", () => {
    fold(0, { from: 1, through: 5 });
    expect(fold(0, { from: 4, through: 8, deltas: ballotFor(leaf.hill, cell.ada) }).kind).toBe("out-of-order");
    expect(book.foldedBatch(0)).toBe(5n);
  });

  test("a new book comes to the same counts from one sum of all batches", () => {
    fold(0, { from: 1, state: OPEN, deltas: ballotFor(leaf.east, cell.ada) });
    fold(0, { from: 2, deltas: ballotFor(leaf.east, cell.ada) });
    const before = book.snapshot();
    book = new CountBook([0, 1]);
    book.define(sampleShape());
    const doubled = ballotFor(leaf.east, cell.ada).map(([region, at, n]) => [region, at, n * 2] as const);
    fold(0, { from: 1, through: 2, state: OPEN, deltas: doubled });
    expect(book.snapshot().vector).toEqual(before.vector);
    expect(count(0, leaf.east, cell.ada)).toBe(2);
  });
});

describe("a message that cannot be leaves no trace", () => {
  const [region, n] = [leaf.hill, 1];
  const impossible: [why: string, content: MessageContent][] = [
    ["ends before it begins", { from: 2, through: 1 }],
    [
      "names a region that is not there",
      {
        from: 2,
        deltas: [
          [region, cell.ada, n],
          [4, cell.ada, n],
        ],
      },
    ],
    [
      "names a cell that is not there",
      {
        from: 2,
        deltas: [
          [region, cell.ada, n],
          [region, 7, n],
        ],
      },
    ],
    [
      "holds more than can be counted exactly",
      {
        from: 2,
        deltas: [
          [region, cell.ada, n],
          [region, 1, 2 ** 60],
        ],
      },
    ],
    ["takes the election back to an earlier state", { from: 2, state: CREATED, deltas: [[region, cell.ada, n]] }],
    ["takes the election to no state", { from: 2, state: 0, deltas: [[region, cell.ada, n]] }],
    ["takes the election to an unknown state", { from: 2, state: 9 as 0, deltas: [[region, cell.ada, n]] }],
  ];
  test.each(impossible)("one that %s", (_why, content) => {
    fold(0, { from: 1, state: OPEN });
    const before = book.snapshot();
    expect(fold(0, content).kind).toBe("impossible");
    expect(book.snapshot()).toBe(before);
  });

  test("one whose columns differ in length", () => {
    const message = countsMessage({ from: 1, deltas: ballotFor(leaf.hill, cell.ada) });
    message.counts[0]?.cells.pop();
    expect(book.fold(0, message).kind).toBe("impossible");
  });

  test("one that changes an election beyond its last batch", () => {
    const message = countsMessage({ from: 1, state: OPEN });
    for (const change of message.changes) change.batch = 2n;
    expect(book.fold(0, message).kind).toBe("impossible");
  });

  test("one that counts after the close (I10)", () => {
    fold(0, { from: 1, state: CLOSED, deltas: ballotFor(leaf.hill, cell.ada) });
    expect(fold(0, { from: 2, deltas: ballotFor(leaf.hill, cell.ada) }).kind).toBe("impossible");
    expect(count(0, leaf.hill, cell.ada)).toBe(1);
  });
});

test("a shard that was not read is absent from the vector, never zero (I7)", () => {
  fold(1, { from: 1 });
  expect(book.snapshot().vector).toEqual(new Map([[1, 1n]]));
});

test("an election is open from the first shard that opened it, and final when every shard has closed it", () => {
  const states: [ReturnType<typeof mayor>["state"], boolean][] = [];
  const note = () => states.push([mayor().state, mayor().final]);
  const steps = [
    [0, CREATED],
    [1, CREATED],
    [0, OPEN],
    [1, OPEN],
    [1, CLOSED],
    [0, CLOSED],
  ] as const;
  for (const [shardId, state] of steps) {
    fold(shardId, { from: Number(book.foldedBatch(shardId)) + 1, state });
    note();
  }
  expect(states).toEqual([
    [CREATED, false],
    [CREATED, false],
    [OPEN, false],
    [OPEN, false],
    [OPEN, false],
    [CLOSED, true],
  ]);
});

test("an election that a shard has not been heard on is not final", () => {
  fold(0, { from: 1, state: CLOSED });
  expect(mayor().final).toBe(false);
  book.expectShard(2);
  fold(1, { from: 1, state: CLOSED });
  expect(mayor().final).toBe(false);
});

test("an election is in the book's snapshots from the first word of a shard", () => {
  expect(book.knows("mayor")).toBe(true);
  expect(book.snapshot().elections.has("mayor")).toBe(false);
  fold(0, { from: 1, state: CREATED });
  expect(book.snapshot().elections.has("mayor")).toBe(true);
});

test("the same definition again is fine, another one for the same id is not", () => {
  book.define(sampleShape());
  expect(() => book.define(sampleShape({ title: "Other" }))).toThrow(/two definitions/);
});

test("a snapshot stays as it is while batches are folded", () => {
  fold(0, { from: 1, deltas: ballotFor(leaf.hill, cell.ada) });
  const { counts, shape } = mayor();
  fold(0, { from: 2, deltas: ballotFor(leaf.hill, cell.ada) });
  expect(counts.get(0)?.get(cellIndex(shape, leaf.hill, cell.ada))).toBe(1);
});
