import { afterEach, beforeEach, expect, test } from "vitest";
import { EncodedMessage } from "#mesh/service-call.ts";
import { noAudit } from "./audit-board.ts";
import { CountBook } from "./count-book.ts";
import { Frame } from "./frame.ts";
import { HandClock } from "./sample-election.ts";
import type { FrameView } from "./watchers.ts";
import { Watchers } from "./watchers.ts";

const book = new CountBook().snapshot();
const beatMs = 500;
let clock: HandClock;
let watchers: Watchers;
let frame: Frame;
let views: number;
const open: AbortController[] = [];

beforeEach(() => {
  clock = new HandClock();
  watchers = new Watchers({ beatMs, watchersMax: 3 });
  views = 0;
  frame = frameNumber(1n);
  watchers.tick(clock.monotonicMs(), frame);
});

afterEach(() => {
  for (const controller of open.splice(0)) controller.abort();
});

function frameNumber(number: bigint): Frame {
  return new Frame({ incarnation: 1n, number, asOfMs: 0, book, missing: [], audit: noAudit });
}

function viewOf({ number }: Frame): FrameView {
  views += 1;
  return { frameNumber: number, message: new EncodedMessage(Uint8Array.of(Number(number))) };
}

/** Makes a frame and lets time pass, tick by tick. */
function pass(ms: number): void {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    frame = frameNumber(frame.number + 1n);
    watchers.tick(clock.monotonicMs(), frame);
  }
}

/** A watcher; `asks` is its next pull, `seen` the numbers of the frames that it got. */
function watch() {
  const controller = new AbortController();
  open.push(controller);
  const messages = watchers.watch(viewOf(frame), viewOf, controller.signal);
  const seen: number[] = [];
  const ask = async () => {
    const next = await messages.next();
    if (next.done !== true) seen.push(next.value.bytes[0] ?? 0);
    return next.done !== true;
  };
  return { seen, ask, leave: () => controller.abort(), close: () => messages.return() };
}

/** Lets everything run that waits for nothing but its turn. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a watcher gets the current frame at once", async () => {
  pass(200);
  const watcher = watch();
  await watcher.ask();
  expect(watcher.seen).toEqual([3]);
});

test("a watcher gets at most two frames a second, each the latest", async () => {
  const watcher = watch();
  await watcher.ask();
  void (async () => {
    while (await watcher.ask());
  })();
  const atSecond: number[] = [];
  for (let second = 0; second < 5; second++) {
    for (let tick = 0; tick < 10; tick++) {
      pass(100);
      await settled();
    }
    atSecond.push(watcher.seen.length);
  }
  expect(atSecond.map((total, i) => total - (atSecond[i - 1] ?? 0))).toEqual([2, 2, 2, 2, 2]);
  expect(watcher.seen).toEqual([1, 11, 16, 21, 26, 31, 36, 41, 46, 51]);
});

test("nothing is queued for a slow reader: it gets the latest frame, not those that it missed (I9)", async () => {
  const watcher = watch();
  await watcher.ask();
  pass(10_000);
  const asked = watcher.ask();
  await settled();
  expect(watcher.seen).toEqual([1]);
  pass(500);
  await asked;
  expect(watcher.seen).toEqual([1, 106]);
  expect(views).toBe(2);
});

test("a frame that a watcher has already is not sent again", async () => {
  const watcher = watch();
  await watcher.ask();
  const asked = watcher.ask();
  for (let i = 0; i < 4; i++) {
    clock.advance(beatMs);
    watchers.tick(clock.monotonicMs(), frame);
  }
  await settled();
  expect(watcher.seen).toEqual([1]);
  pass(500);
  await asked;
  expect(watcher.seen).toEqual([1, 6]);
});

test("a watcher that leaves while it waits is forgotten", async () => {
  const watcher = watch();
  await watcher.ask();
  const asked = watcher.ask();
  watcher.leave();
  expect(await asked).toBe(false);
  expect(watchers.count).toBe(0);
});

test("a watcher that leaves while it reads is forgotten", async () => {
  const watcher = watch();
  await watcher.ask();
  await watcher.close();
  expect(watchers.count).toBe(0);
});

test("one watcher too many is refused as OVERLOADED (I9)", async () => {
  for (const watcher of [watch(), watch(), watch()]) await watcher.ask();
  await expect(watch().ask()).rejects.toMatchObject({ reason: "OVERLOADED" });
});

test("when the tally stops its watchers are told TALLY_UNAVAILABLE, those who wait and those who read", async () => {
  const [waiting, reading] = [watch(), watch()];
  await waiting.ask();
  await reading.ask();
  const asked = waiting.ask();
  watchers.close();
  await expect(asked).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
  await expect(reading.ask()).rejects.toMatchObject({ reason: "TALLY_UNAVAILABLE" });
  expect(watchers.count).toBe(0);
});
