import { beforeEach, expect, test } from "vitest";
import { AuditBoard, noAudit } from "./audit-board.ts";
import { HandClock } from "./sample-election.ts";

const limits = { silenceMs: 60_000, auditorsMax: 3 };

let clock: HandClock;
let ownFindings: string[];
let board: AuditBoard;

beforeEach(() => {
  clock = new HandClock();
  ownFindings = [];
  board = new AuditBoard(limits, clock, () => ownFindings);
});

function report(auditor: string, batches: Readonly<Record<number, number>>, ...findings: string[]): void {
  const verified = new Map(Object.entries(batches).map(([shardId, batch]) => [Number(shardId), BigInt(batch)]));
  board.report({ auditor, verified, findings });
}

const verified = () =>
  Object.fromEntries([...board.view().verified].map(([shardId, batch]) => [shardId, Number(batch)]));

test("nothing is verified before the first report, and nothing is said of silence", () => {
  expect(board.view()).toBe(noAudit);
  clock.advance(limits.silenceMs);
  expect(board.view()).toBe(noAudit);
});

test("an auditor's newest report replaces what it said before, also where it says less", () => {
  report("", { 0: 10, 1: 20 }, "leaf 3");
  report("", { 0: 11 });
  expect(verified()).toEqual({ 0: 11 });
  expect(board.view().findings).toEqual([]);
  report("", { 0: 2 });
  expect(verified()).toEqual({ 0: 2 });
});

test("of several auditors the furthest is shown for each shard, and a clean one does not hide what another found", () => {
  report("town", { 1: 20, 0: 10 }, "leaf 3");
  report("press", { 0: 12 });
  expect(verified()).toEqual({ 0: 12, 1: 20 });
  expect(board.view().findings).toEqual(["leaf 3"]);
});

test("what two auditors found alike is said once, after what the tally found itself", () => {
  report("town", {}, "leaf 3");
  report("press", {}, "leaf 3", "leaf 4");
  ownFindings = ["shard 0: two roots"];
  expect(board.view().findings).toEqual(["shard 0: two roots", "leaf 3", "leaf 4"]);
});

test("an auditor that falls silent leaves what it verified and found, marked with its last word", () => {
  report("", { 0: 10 }, "leaf 3");
  const saidAtMs = clock.wallMs();
  clock.advance(limits.silenceMs - 1);
  expect(board.view().silentSinceMs).toBeUndefined();
  clock.advance(1);
  expect(board.view()).toMatchObject({ silentSinceMs: saidAtMs, findings: ["leaf 3"] });
  expect(verified()).toEqual({ 0: 10 });
  report("", { 0: 11 });
  expect(board.view().silentSinceMs).toBeUndefined();
  expect(verified()).toEqual({ 0: 11 });
});

test("while one auditor is heard, how far a silent one had come is not shown, but what it found is", () => {
  report("gone", { 0: 50 }, "leaf 3");
  clock.advance(limits.silenceMs);
  report("here", { 0: 10 });
  expect(verified()).toEqual({ 0: 10 });
  expect(board.view()).toMatchObject({ silentSinceMs: undefined, findings: ["leaf 3"] });
});

test("the view is the same object until something changes", () => {
  report("", { 0: 10 }, "leaf 3");
  const view = board.view();
  report("", { 0: 10 }, "leaf 3");
  clock.advance(1);
  expect(board.view()).toBe(view);
  report("", { 0: 11 }, "leaf 3");
  expect(board.view()).not.toBe(view);
});

test("auditors are bounded: a newcomer gets the place of one that is silent, and none while all are heard (I9)", () => {
  for (const auditor of ["a", "b", "c"]) report(auditor, { 0: 1 });
  expect(() => report("d", { 0: 9 })).toThrow(expect.objectContaining({ reason: "OVERLOADED" }));
  clock.advance(limits.silenceMs - 1);
  for (const auditor of ["a", "c"]) report(auditor, { 0: 2 });
  clock.advance(1);
  report("d", { 0: 9 });
  expect(verified()).toEqual({ 0: 9 });
  expect(() => report("e", { 0: 9 })).toThrow(expect.objectContaining({ reason: "OVERLOADED" }));
});
