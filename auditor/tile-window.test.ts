import { expect, test } from "vitest";
import type { BallotKind } from "./ballot-kind.ts";
import { TileWindow } from "./tile-window.ts";

const row = Buffer.alloc(128);
const kind = { votes: 0 } as unknown as BallotKind;

function put(window: TileWindow, ...leaves: readonly number[]): void {
  for (const leaf of leaves) window.tileOf(leaf)?.put(leaf % 256, row, 1, kind);
}

const range = (first: number, end: number) => Array.from({ length: end - first }, (_, i) => first + i);

test("tiles are handed out in the order of the log, each once it has all its rows, whatever order these come in", () => {
  const window = new TileWindow(0, 600);
  put(window, ...range(256, 512), ...range(1, 256));
  expect(window.isNextComplete).toBe(false);
  put(window, 0);
  expect(window.isNextComplete).toBe(true);
  window.takeNext();
  expect([window.next, window.isNextComplete]).toEqual([1, true]);
  window.takeNext();
  put(window, ...range(512, 600).reverse());
  expect(window.isNextComplete).toBe(true);
  window.takeNext();
  expect(window.isDone).toBe(true);
});

test("the first tile is complete without the leaves before the start", () => {
  const window = new TileWindow(250, 260);
  expect(window.slotsOf(0)).toEqual([250, 256]);
  expect(window.slotsOf(1)).toEqual([0, 4]);
  put(window, ...range(250, 256));
  expect(window.isNextComplete).toBe(true);
});

test("of a tile that was taken there is none any more; one that is given back is empty", () => {
  const window = new TileWindow(0, 1_000);
  put(window, 0, 3);
  const taken = window.takeNext();
  expect(taken.count).toBe(2);
  expect(window.tileOf(3)).toBeUndefined();
  window.giveBack(taken);
  expect(window.tileOf(700)?.count).toBe(0);
});

test("one row that is missing lets so much wait, and no more", () => {
  const window = new TileWindow(0, 10_000, 4);
  put(window, ...range(1, 1_024));
  expect([window.isNextComplete, window.isOverfull]).toEqual([false, false]);
  put(window, 1_024);
  expect(window.isOverfull).toBe(true);
  expect(window.takeNext().count).toBe(255);
  expect([window.isNextComplete, window.isOverfull]).toEqual([true, false]);
});
