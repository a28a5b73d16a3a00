import { expect, test } from "vitest";
import { emptyRoot } from "#proto/ledger/merkle-hash.ts";
import { CountFeed } from "./count-feed.ts";

const batch = (number: number, cells = 1) => {
  const zeros = Array.from({ length: cells }, () => 0);
  return {
    number,
    ledgerHead: { size: number * 100, root: emptyRoot },
    stampMs: number * 10,
    deltas: { elections: zeros, regions: zeros, cells: zeros, n: zeros },
    changes: [],
  };
};

function feedOf(durable: number, through: number): CountFeed {
  const feed = new CountFeed(durable, durable * 10, { size: durable * 100, root: emptyRoot });
  for (let number = durable + 1; number <= through; number++) feed.publish(batch(number));
  return feed;
}

const numbers = (feed: CountFeed, after: number) => feed.after(after)?.map(({ number }) => number);

test("the durable mark moves batch by batch, with its stamp and its ledger", () => {
  const feed = feedOf(7, 9);
  expect([feed.durableBatch, feed.stampMs, feed.ledgerHead.size]).toEqual([9, 90, 900]);
});

for (const [name, number] of [
  ["a gap", 11],
  ["the same batch again", 9],
  ["an older batch", 8],
] as const) {
  test(`${name} in the feed is a fault of the program: counts would be lost or doubled (I5)`, () => {
    const feed = feedOf(7, 9);
    expect(() => feed.publish(batch(number))).toThrow("I5");
    expect(feed.durableBatch).toBe(9);
  });
}

test("a reader gets exactly the batches after the one that it names", () => {
  const feed = feedOf(7, 10);
  expect(numbers(feed, 7)).toEqual([8, 9, 10]);
  expect(numbers(feed, 9)).toEqual([10]);
  expect(numbers(feed, 10)).toEqual([]);
});

test("a reader that is further behind than memory reaches is sent to the batch log", () => {
  expect(numbers(feedOf(7, 10), 6)).toBeUndefined();
  expect(numbers(new CountFeed(7, 0, { size: 7 * 100, root: emptyRoot }), 6)).toBeUndefined();
  expect(numbers(new CountFeed(7, 0, { size: 7 * 100, root: emptyRoot }), 7)).toEqual([]);
});

test("memory keeps the newest batches and no more than that (I9)", () => {
  const feed = feedOf(0, 5_000);
  const kept = feed.after(4_800)?.length;
  expect(kept).toBe(200);
  expect(feed.after(4_000)).toBeUndefined();
});

test("batches with many counts take the place of many batches (I9)", () => {
  const feed = new CountFeed(0, 0, { size: 0 * 100, root: emptyRoot });
  for (let number = 1; number <= 200; number++) feed.publish(batch(number, 20_000));
  expect(feed.after(200)).toEqual([]);
  expect(feed.after(199)).toHaveLength(1);
  expect(feed.after(170)).toBeUndefined();
});

test("it says how much was published, so that running totals are stored in time", () => {
  const feed = feedOf(0, 2);
  feed.publish(batch(3, 40));
  expect(feed.deltasPublished).toBe(42);
});

test("who waits for a batch is woken by it, and not by an earlier one", async () => {
  const feed = feedOf(7, 7);
  let reached = false;
  const waiting = feed.reaches(9, new AbortController().signal).then(() => {
    reached = true;
  });
  feed.publish(batch(8));
  await Promise.resolve();
  expect(reached).toBe(false);
  feed.publish(batch(9));
  await waiting;
  expect(reached).toBe(true);
});

test("a batch that is durable already is not waited for; a wait ends with its signal", async () => {
  const feed = feedOf(7, 8);
  await feed.reaches(8, new AbortController().signal);
  const controller = new AbortController();
  const waiting = feed.reaches(9, controller.signal);
  controller.abort();
  await waiting;
  await feed.reaches(9, controller.signal);
  expect(feed.durableBatch).toBe(8);
});
