import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ballotCounts, type ElectionShape, encodeBallot } from "#proto/election-shape.ts";
import { ContestSchema, RegionSchema } from "#proto/generated/urna/v1/election_pb.js";
import type { RegionTally } from "#proto/generated/urna/v1/tally_service_pb.js";
import { noAudit } from "./audit-board.ts";
import { CountBook } from "./count-book.ts";
import { Frame } from "./frame.ts";
import type { Delta } from "./sample-election.ts";
import { countsMessage, OPEN, sampleDefinition, sampleShape } from "./sample-election.ts";

const shardCount = 3;

/** A ballot of some leaf with some selections, counted on some shard. */
type Cast = { readonly shardId: number; readonly leaf: number; readonly choices: readonly number[] };

/** Trees of up to three levels in which no region is both a leaf and a parent. */
const shapes = fc
  .array(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 })
  .chain((paths) => {
    const ids = [...new Set(paths.map((path) => path.join("/")))];
    const leaves = ids.filter((id) => !ids.some((other) => other.startsWith(`${id}/`)));
    return fc.subarray(leaves).map((scope) => electionOf(leaves, scope));
  });

function electionOf(leaves: readonly string[], scope: readonly string[]): ElectionShape {
  const [first, second] = sampleDefinition().contests;
  if (first === undefined || second === undefined) throw new Error("the sample has two contests");
  const contests = [first, create(ContestSchema, { ...second, maxSelections: 2, regionIds: [...scope] })];
  return sampleShape({ contests, regions: leaves.map((regionId) => create(RegionSchema, { regionId })) });
}

const elections = shapes.chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    casts: fc.array(
      fc.record({
        shardId: fc.nat(shardCount - 1),
        leaf: fc.nat(shape.leaves.length - 1),
        choices: fc.array(fc.nat(3), { maxLength: 3 }),
      }),
      { maxLength: 40 },
    ),
    /** Which shard speaks next; whatever is left speaks at the end. */
    order: fc.array(fc.nat(shardCount - 1), { maxLength: 60 }),
    batchVotes: fc.integer({ min: 1, max: 5 }),
  }),
);

/** What the ballot adds; choices that its leaf does not have are left out. */
function deltasOf(shape: ElectionShape, { leaf, choices }: Cast): Delta[] {
  const cells: number[] = [];
  for (const contest of shape.contests.values()) {
    if (contest.onBallot[leaf] !== 1) continue;
    const own = contest.optionIds.map((_, i) => contest.firstCell + i);
    cells.push(...own.filter((_, i) => choices.includes(i)).slice(0, contest.selectionsMax));
  }
  return [...ballotCounts(shape, leaf, encodeBallot(cells))].map(([cell, n]) => [leaf, cell, n]);
}

/** Each shard's batches, folded in the given order of shards. Calls `seen` after every batch. */
function foldAll(
  shape: ElectionShape,
  casts: readonly Cast[],
  order: readonly number[],
  batchVotes: number,
  seen: (book: CountBook) => void = () => {},
): CountBook {
  const shardIds = Array.from({ length: shardCount }, (_, shardId) => shardId);
  const book = new CountBook(shardIds);
  book.define(shape);
  const waiting = shardIds.map((shardId) => casts.filter((cast) => cast.shardId === shardId));
  for (const shardId of shardIds) book.fold(shardId, countsMessage({ from: 1, state: OPEN }));
  const speak = (shardId: number) => {
    const deltas = (waiting[shardId]?.splice(0, batchVotes) ?? []).flatMap((cast) => deltasOf(shape, cast));
    const from = Number(book.foldedBatch(shardId)) + 1;
    expect(book.fold(shardId, countsMessage({ from, deltas })).kind).toBe("folded");
    seen(book);
  };
  for (const shardId of order) speak(shardId);
  for (const shardId of shardIds) while ((waiting[shardId]?.length ?? 0) > 0) speak(shardId);
  return book;
}

const frameOf = (book: CountBook) =>
  new Frame({ incarnation: 1n, number: 1n, asOfMs: 0, book: book.snapshot(), missing: [], audit: noAudit });

/** A region's numbers by what they count. */
function numbersOf(tally: RegionTally | undefined): Map<string, bigint> {
  const numbers = new Map([["ballots", tally?.ballots ?? 0n]]);
  for (const { contestId, options, undervotes } of tally?.contests ?? []) {
    for (const { optionId, count } of options) numbers.set(`${contestId}/${optionId}`, count);
    numbers.set(contestId, undervotes);
  }
  return numbers;
}

function sumOf(tallies: readonly RegionTally[]): Map<string, bigint> {
  const sum = new Map([["ballots", 0n]]);
  for (const tally of tallies) {
    for (const [key, n] of numbersOf(tally)) sum.set(key, (sum.get(key) ?? 0n) + n);
  }
  return sum;
}

test("every region's counts are the sums of its children's, up to the root, whatever the tree (I5)", () => {
  fc.assert(
    fc.property(elections, ({ shape, casts, order, batchVotes }) => {
      const frame = frameOf(foldAll(shape, casts, order, batchVotes));
      for (const branch of shape.branches) {
        const { region, children } = frame.tally("mayor", branch);
        expect(numbersOf(region)).toEqual(sumOf(children));
      }
      const leaves = shape.leaves
        .map((leaf) => frame.tally("mayor", leaf).region)
        .filter((tally) => tally !== undefined);
      expect(numbersOf(frame.tally("mayor", "").region)).toEqual(sumOf(leaves));
      expect(sumOf(leaves).get("ballots")).toBe(BigInt(casts.length));
    }),
  );
});

test("the order in which shards are read, and how votes fall into batches, changes no count", () => {
  fc.assert(
    fc.property(elections, fc.integer({ min: 1, max: 40 }), ({ shape, casts, order, batchVotes }, otherVotes) => {
      const one = frameOf(foldAll(shape, casts, order, batchVotes));
      const other = frameOf(foldAll(shape, casts, [], otherVotes));
      for (const regionId of [...shape.branches, ...shape.leaves]) {
        expect(numbersOf(one.tally("mayor", regionId).region)).toEqual(
          numbersOf(other.tally("mayor", regionId).region),
        );
      }
    }),
  );
});

test("between frames no count falls, and no frame changes afterwards (I7)", () => {
  fc.assert(
    fc.property(elections, ({ shape, casts, order, batchVotes }) => {
      const frames: Frame[] = [];
      const numbers: Map<string, bigint>[] = [];
      foldAll(shape, casts, order, batchVotes, (book) => {
        const frame = frameOf(book);
        frames.push(frame);
        // Every other frame is asked only at the end.
        if (frames.length % 2 === 0) frame.tally("mayor", "");
      });
      for (const frame of frames) numbers.push(numbersOf(frame.tally("mayor", "").region));
      for (const [i, later] of numbers.entries()) {
        for (const [key, n] of numbers[i - 1] ?? []) expect(later.get(key) ?? 0n).toBeGreaterThanOrEqual(n);
      }
      expect(numbers.at(-1)?.get("ballots") ?? BigInt(casts.length)).toBe(BigInt(casts.length));
    }),
  );
});
