import { beforeEach, expect, test } from "vitest";
import { type AuditView, noAudit } from "./audit-board.ts";
import { CountBook } from "./count-book.ts";
import type { Frame } from "./frame.ts";
import { FrameMaker } from "./frame-maker.ts";
import { ballotFor, cell, countsMessage, HandClock, leaf, OPEN, sampleShape } from "./sample-election.ts";
import { ShardReading } from "./shard-reading.ts";

const frameAgeMsMax = 5_000;
let clock: HandClock;
let book: CountBook;
let readings: Map<number, ShardReading>;
let audit: AuditView;
let frames: FrameMaker;

beforeEach(() => {
  clock = new HandClock();
  book = new CountBook([0, 1]);
  book.define(sampleShape());
  readings = new Map([0, 1].map((shardId) => [shardId, new ShardReading(clock, 3_000)]));
  audit = noAudit;
  const audits = { view: () => audit };
  frames = new FrameMaker({ incarnation: 9n, book, readings, audits, clock, frameAgeMsMax });
});

function fold(shardId: number, from: number): void {
  book.fold(shardId, countsMessage({ from, state: OPEN, deltas: ballotFor(leaf.hill, cell.ada) }));
  if (from === 1) readings.get(shardId)?.began(1n);
  readings.get(shardId)?.folded(BigInt(from));
}

const missingShards = (frame: Frame) => frame.content.missing.map(({ shardId }) => shardId);

test("the first frame says that no shard has been read", () => {
  const { content } = frames.current;
  expect(content).toMatchObject({ incarnation: 9n, number: 1n, asOfMs: clock.wallMs() });
  expect(content.book.vector.size).toBe(0);
  expect(missingShards(frames.current)).toEqual([0, 1]);
});

test("a tick makes one frame of all that was folded since the last, and none when nothing changed", () => {
  fold(0, 1);
  fold(1, 1);
  fold(0, 2);
  expect(frames.tick()).toBe(true);
  expect(frames.current.number).toBe(2n);
  expect([...frames.current.content.book.vector]).toEqual([
    [0, 2n],
    [1, 1n],
  ]);
  clock.advance(100);
  expect(frames.tick()).toBe(false);
  expect(frames.current.number).toBe(2n);
});

test("a frame is made when a shard falls silent and when it is back", () => {
  fold(0, 1);
  fold(1, 1);
  frames.tick();
  expect(missingShards(frames.current)).toEqual([]);
  clock.advance(2_000);
  fold(0, 2);
  frames.tick();
  clock.advance(1_000);
  expect(frames.tick()).toBe(true);
  expect(missingShards(frames.current)).toEqual([1]);
  fold(1, 2);
  frames.tick();
  expect(missingShards(frames.current)).toEqual([]);
});

test("a frame is made when auditors said something new, and no more often than a tick comes", () => {
  expect(frames.tick()).toBe(false);
  for (const batch of [1n, 2n, 3n]) audit = { ...noAudit, verified: new Map([[0, batch]]) };
  expect(frames.tick()).toBe(true);
  expect(frames.current.content.audit.verified.get(0)).toBe(3n);
  expect(frames.tick()).toBe(false);
});

test("a frame that has grown old is replaced though nothing changed, so that as_of moves", () => {
  const { asOfMs } = frames.current.content;
  clock.advance(frameAgeMsMax - 1);
  expect(frames.tick()).toBe(false);
  clock.advance(1);
  expect(frames.tick()).toBe(true);
  expect(frames.current.content.asOfMs).toBe(asOfMs + frameAgeMsMax);
});

test("who waits for an election gets the first frame that knows it", async () => {
  const waiting = frames.frameOnceWhere((frame) => frame.has("mayor"), 1_000, new AbortController().signal);
  frames.tick();
  expect(frames.waitingCount).toBe(1);
  fold(0, 1);
  frames.tick();
  expect((await waiting).has("mayor")).toBe(true);
  expect(frames.waitingCount).toBe(0);
});

test("who waits in vain gets the current frame when the patience is over, when it leaves, and when the tally ends", async () => {
  const leaving = new AbortController();
  const wait = (signal: AbortSignal) => frames.frameOnceWhere((frame) => frame.has("mayor"), 1_000, signal);
  const patient = wait(new AbortController().signal);
  const left = wait(leaving.signal);
  leaving.abort();
  expect(await left).toBe(frames.current);
  clock.advance(1_000);
  frames.tick();
  expect(await patient).toBe(frames.current);
  const ended = wait(new AbortController().signal);
  frames.endWaits();
  expect(await ended).toBe(frames.current);
  expect(frames.waitingCount).toBe(0);
});
