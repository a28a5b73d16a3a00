import { expect, test } from "vitest";
import { EncodedMessage } from "#mesh/service-call.ts";
import type { KeptAnswer, MemoryLimits } from "./tally-memory.ts";
import { TallyMemory } from "./tally-memory.ts";

const limits: MemoryLimits = { freshMs: 1_500, bytesMax: 100, electionsMax: 10, newBeginningMs: 30_000 };

type Cut = { incarnation?: bigint; number: bigint; batches?: readonly bigint[] };

function cutOf({ incarnation = 1n, number, batches = [number] }: Cut) {
  return { frame: { incarnation, number }, vector: batches.map((batch, shardId) => ({ shardId, batch })) };
}

function answer(cut: Cut, { electionId = "e", atMs = 0, bytes = 1 } = {}): KeptAnswer {
  return { electionId, cut: cutOf(cut), atMs, messages: [new EncodedMessage(new Uint8Array(bytes))] };
}

function start(change: Partial<MemoryLimits> = {}) {
  const clock = { nowMs: 0 };
  return { clock, memory: new TallyMemory({ ...limits, ...change }, () => clock.nowMs) };
}

test("an answer is shown while it is fresh, and not after", () => {
  const { clock, memory } = start();
  const kept = answer({ number: 1n });
  memory.keep("a", kept);
  clock.nowMs = 1_499;
  expect(memory.show("a")).toBe(kept);
  clock.nowMs = 1_500;
  expect(memory.show("a")).toBeUndefined();
});

test("what is behind what the tally itself has answered of the election is not shown (I7)", () => {
  const { memory } = start();
  memory.keep("a", answer({ number: 5n }));
  expect(memory.pass("e", cutOf({ number: 6n }))).toBe(true);
  expect(memory.show("a")).toBeUndefined();
  memory.keep("a", answer({ number: 6n }));
  expect(memory.show("a")).toBeDefined();
});

test("what is behind what was shown of another region of the election is not shown, of another election it is (I7)", () => {
  const { memory } = start();
  memory.keep("a", answer({ number: 6n }));
  memory.keep("b", answer({ number: 5n }));
  memory.keep("c", answer({ number: 5n }, { electionId: "other" }));
  expect(memory.show("a")).toBeDefined();
  expect(memory.show("b")).toBeUndefined();
  expect(memory.show("c")).toBeDefined();
});

test("an older answer is behind the one that is kept, though nobody has seen that yet (I7)", () => {
  const { memory } = start();
  memory.keep("a", answer({ number: 6n }));
  expect(memory.isBehind("a", "e", cutOf({ number: 5n }))).toBe(true);
  expect(memory.isBehind("a", "e", cutOf({ number: 6n }))).toBe(false);
});

test("a new incarnation is behind until it has read every shard as far (I7)", () => {
  const { memory } = start();
  memory.pass("e", cutOf({ number: 100n, batches: [50n, 60n] }));
  const restarted = { incarnation: 2n, number: 1n };
  expect(memory.isBehind("a", "e", cutOf({ ...restarted, batches: [50n] }))).toBe(true);
  expect(memory.isBehind("a", "e", cutOf({ ...restarted, batches: [50n, 59n] }))).toBe(true);
  expect(memory.isBehind("a", "e", cutOf({ ...restarted, batches: [50n, 60n] }))).toBe(false);
});

test("a younger tally that stays behind is believed in the end, for its shards have begun anew; an older one never", () => {
  const { clock, memory } = start();
  memory.pass("e", cutOf({ incarnation: 2n, number: 100n }));
  const before = cutOf({ incarnation: 1n, number: 40n });
  const anew = cutOf({ incarnation: 3n, number: 5n });
  expect(memory.pass("e", anew)).toBe(false);
  clock.nowMs = 29_999;
  expect(memory.pass("e", anew)).toBe(false);
  clock.nowMs = 60_000;
  expect(memory.pass("e", before)).toBe(false);
  expect(memory.pass("e", anew)).toBe(true);
  memory.keep("a", answer({ incarnation: 3n, number: 6n }, { atMs: 60_000 }));
  expect(memory.show("a")).toBeDefined();
});

test("what is kept is bounded in bytes: there is room again when something is forgotten (I9)", () => {
  const { memory } = start();
  expect(memory.keep("a", answer({ number: 1n }, { bytes: 60 }))).toBe(true);
  expect(memory.keep("b", answer({ number: 1n }, { bytes: 60 }))).toBe(false);
  expect(memory.keep("a", answer({ number: 2n }, { bytes: 90 }))).toBe(true);
  expect(memory.bytes).toBe(90);
  memory.forget("a");
  expect(memory.keep("b", answer({ number: 1n }, { bytes: 60 }))).toBe(true);
  expect(memory).toMatchObject({ bytes: 60, answers: 1 });
});

test("of more elections than are remembered, the one used longest ago is forgotten (I9)", () => {
  const { memory } = start({ electionsMax: 2 });
  for (const electionId of ["e1", "e2"]) memory.pass(electionId, cutOf({ number: 9n }));
  memory.pass("e1", cutOf({ number: 9n }));
  memory.pass("e3", cutOf({ number: 9n }));
  expect(memory.isBehind("a", "e1", cutOf({ number: 8n }))).toBe(true);
  expect(memory.isBehind("a", "e2", cutOf({ number: 8n }))).toBe(false);
});
