import { expect, test } from "vitest";
import { noAudit } from "./audit-board.ts";
import { CountBook } from "./count-book.ts";
import { Frame } from "./frame.ts";
import { FrameHolders } from "./frame-holders.ts";
import { HandClock } from "./sample-election.ts";

const book = new CountBook().snapshot();
const frame = new Frame({ incarnation: 1n, number: 1n, asOfMs: 0, book, missing: [], audit: noAudit });
const overloaded = expect.objectContaining({ reason: "OVERLOADED" });

test("one call too many is refused as OVERLOADED, and a place that is left is free again (I9)", () => {
  const holders = new FrameHolders({ holdersMax: 2, safeMs: 1_000 }, new HandClock());
  const first = holders.enter(frame);
  holders.enter(frame);
  expect(() => holders.enter(frame)).toThrow(overloaded);
  holders.leave(first);
  expect(holders.enter(frame).frame).toBe(frame);
});

test("a call that had its time makes way for a newcomer, and lets go of its frame", () => {
  const clock = new HandClock();
  const holders = new FrameHolders({ holdersMax: 1, safeMs: 1_000 }, clock);
  const stalled = holders.enter(frame);
  clock.advance(999);
  expect(() => holders.enter(frame)).toThrow(overloaded);
  clock.advance(1);
  const newcomer = holders.enter(frame);
  expect(() => stalled.frame).toThrow(overloaded);
  holders.leave(stalled);
  expect(newcomer.frame).toBe(frame);
  expect(holders.count).toBe(1);
});
