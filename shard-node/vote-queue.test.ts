import fc from "fast-check";
import { expect, test } from "vitest";
import { sampleFrame } from "./sample-election.ts";
import type { WaitingVote } from "./vote-frame.ts";
import { VoteQueue } from "./vote-queue.ts";

/** Votes without selections: each costs the queue the same. */
function votes(count: number, voter = "v"): readonly WaitingVote[] {
  if (count === 0) return [];
  return sampleFrame(
    "e",
    Array.from({ length: count }, (_, i) => ({ voter: `${voter}${i}`, cells: [] })),
  ).frame.votes;
}

const delay = { targetMs: 1_000, intervalMs: 500 };
const roomy = { delay, votesMax: 1_000, bytesMax: 1_000_000 };

test("votes beyond the limit in number are refused, all of a frame or none (I9)", () => {
  const queue = new VoteQueue({ delay, votesMax: 5, bytesMax: 1_000_000 });
  expect(queue.offer(votes(3))).toBe(true);
  expect(queue.offer(votes(3))).toBe(false);
  expect(queue.length).toBe(3);
  expect(queue.offer(votes(2))).toBe(true);
  expect(queue.offer(votes(1))).toBe(false);
});

test("votes beyond the limit in bytes are refused, and room comes back with what is taken (I9)", () => {
  const queue = new VoteQueue({ delay, votesMax: 1_000, bytesMax: 600 });
  expect(queue.offer(votes(2))).toBe(true);
  expect(queue.offer(votes(1))).toBe(false);
  queue.take(1, 1_000_000);
  expect(queue.offer(votes(1))).toBe(true);
});

test("a batch takes the oldest votes, within its limits, and at least one", () => {
  const queue = new VoteQueue(roomy);
  const offered = votes(10);
  queue.offer(offered);
  expect(queue.take(4, 1_000_000)).toEqual(offered.slice(0, 4));
  expect(queue.take(4, 2 * 256)).toEqual(offered.slice(4, 6));
  expect(queue.take(4, 1)).toEqual(offered.slice(6, 7));
  expect(queue.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)).toEqual(offered.slice(7));
  expect(queue.take(4, 1_000_000)).toEqual([]);
});

test("votes of a batch that was not stored go first again, past every limit, and count again (I9)", () => {
  const queue = new VoteQueue({ delay, votesMax: 4, bytesMax: 1_000_000 });
  const [early, late] = [votes(4, "early"), votes(4, "late")];
  queue.offer(early);
  const taken = queue.take(4, 1_000_000);
  queue.offer(late);
  queue.putBack(taken);
  expect(queue.length).toBe(8);
  expect(queue.offer(votes(1))).toBe(false);
  expect(queue.take(8, 1_000_000)).toEqual([...early, ...late]);
  expect(queue.offer(votes(4))).toBe(true);
});

test("votes put back take up their bytes again, until they are taken (I9)", () => {
  const queue = new VoteQueue({ delay, votesMax: 1_000, bytesMax: 4 * 256 });
  queue.offer(votes(4));
  queue.putBack(queue.take(4, 1_000_000));
  expect(queue.offer(votes(1))).toBe(false);
  queue.take(4, 1_000_000);
  expect(queue.offer(votes(4))).toBe(true);
  expect(queue.offer(votes(1))).toBe(false);
});

test("whatever is offered, taken and put back, nothing is lost, doubled or reordered, and an empty queue has its room", () => {
  const step = fc.record({ offered: fc.nat(5), taken: fc.nat(6), back: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const queue = new VoteQueue({ delay, votesMax: 20, bytesMax: 20 * 256 });
      const [accepted, left]: [WaitingVote[], WaitingVote[]] = [[], []];
      for (const { offered, taken, back } of steps) {
        const next = votes(offered);
        if (queue.offer(next)) accepted.push(...next);
        const batch = queue.take(taken, 1_000_000);
        if (back) queue.putBack(batch);
        else left.push(...batch);
        expect(queue.length).toBe(accepted.length - left.length);
      }
      expect([...left, ...queue.take(1_000, 1_000_000)]).toEqual(accepted);
      expect(queue.offer(votes(20))).toBe(true);
    }),
  );
});

test("votes are refused once the oldest has waited too long for too long, and taken again when it has gone (I9)", () => {
  const queue = new VoteQueue(roomy);
  const first = votes(3, "first");
  const receivedAtMs = first[0]?.frame.receivedAtMs ?? 0;
  const offerAt = (afterMs: number) => queue.offer(votes(1), receivedAtMs + afterMs);
  expect(queue.offer(first, receivedAtMs)).toBe(true);
  expect([900, 1_000, 1_499].map(offerAt)).toEqual([true, true, true]);
  expect([1_500, 2_000, 9_000].map(offerAt)).toEqual([false, false, false]);
  // What waits stays: only new arrivals are refused.
  expect(queue.take(1_000, 1_000_000)).toHaveLength(6);
  expect(offerAt(9_100)).toBe(true);
});
