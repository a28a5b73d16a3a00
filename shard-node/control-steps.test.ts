import { expect, test } from "vitest";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { type ControlStep, copySteps, dueSteps, homeSteps } from "./control-steps.ts";
import type { ElectionBook } from "./election-book.ts";
import type { Times } from "./sample-election.ts";
import { sampleBook, sampleDefinition, sampleEntry, sampleHome } from "./sample-election.ts";

const { UNSPECIFIED, CREATED, OPEN, CLOSED } = ElectionState;
const actions = (steps: readonly ControlStep[]) => steps.map((step) => `${step.audit.action} by ${step.audit.by}`);
const home = (state: ElectionState, title = "") => sampleHome(sampleDefinition("e", title), state);

function apply(book: ElectionBook, steps: readonly ControlStep[], batch: number): ElectionBook {
  for (const step of steps) step.apply(book, batch);
  return book;
}

const copies = [
  { has: undefined, wants: CREATED, does: ["define"] },
  { has: undefined, wants: OPEN, does: ["define", "open"] },
  { has: undefined, wants: CLOSED, does: ["define", "close"] },
  { has: CREATED, wants: CREATED, does: [] },
  { has: CREATED, wants: OPEN, does: ["open"] },
  { has: CREATED, wants: CLOSED, does: ["close"] },
  { has: OPEN, wants: CREATED, does: [] },
  { has: OPEN, wants: OPEN, does: [] },
  { has: OPEN, wants: CLOSED, does: ["close"] },
  { has: CLOSED, wants: OPEN, does: [] },
  { has: CLOSED, wants: CLOSED, does: [] },
];

for (const { has, wants, does } of copies) {
  const name = has === undefined ? "unknown" : ElectionState[has];
  test(`a copy that is ${name} becomes ${ElectionState[wants]} by: ${does.join(", ") || "nothing"}`, () => {
    const book = has === undefined ? sampleBook({}) : sampleBook({ e: has });
    const steps = copySteps(book, home(wants));
    expect(actions(steps)).toEqual(does.map((action) => `${action} by an admin`));
    const reached = apply(book, steps, 7).entry("e")?.state ?? UNSPECIFIED;
    expect(reached).toBe(Math.max(has ?? UNSPECIFIED, wants));
    expect(copySteps(book, home(wants))).toEqual([]);
  });
}

test("steps leave their batch in the book: an open election takes votes from its open batch on (I10)", () => {
  const book = apply(sampleBook({}), copySteps(sampleBook({}), home(OPEN)), 7);
  expect(book.entry("e")).toMatchObject({ number: 1, state: OPEN, openBatch: 7, closeBatch: 0 });
  apply(book, copySteps(book, home(CLOSED)), 9);
  expect(book.entry("e")).toMatchObject({ openBatch: 7, closeBatch: 9 });
});

test("a shard that holds one definition never copies another", () => {
  expect(() => copySteps(sampleBook({ e: CREATED }), home(OPEN, "another title"))).toThrow(
    expect.objectContaining({ reason: "ELECTION_EXISTS" }),
  );
});

test("a definition goes into the database with the names that reports need", () => {
  const [define] = copySteps(sampleBook({}), home(CREATED));
  expect(define?.values.slice(4)).toEqual([
    ["north/hill", "south/coast"],
    ["ballots", "option", "option", "undervotes", "option", "option", "option", "undervotes"],
    [null, "mayor", "mayor", "mayor", "works", "works", "works", "works"],
    [null, "ada", "ben", null, "park", "pool", "school", null],
  ]);
});

const create = (title = "") => ({
  electionId: "e",
  record: home(CREATED, title),
  wantedState: CREATED,
  requestedBy: "an admin",
});
const change = (wantedState: ElectionState) => ({
  electionId: "e",
  record: undefined,
  wantedState,
  requestedBy: "another admin",
});

test("at its home the first definition of an id wins: the same again changes nothing, another is refused", () => {
  const book = sampleBook({});
  expect(actions(homeSteps(book, create()))).toEqual(["want-created by an admin"]);
  apply(book, homeSteps(book, create()), 5);
  expect(homeSteps(book, create())).toEqual([]);
  expect(() => homeSteps(book, create("another title"))).toThrow(
    expect.objectContaining({ reason: "ELECTION_EXISTS" }),
  );
});

test("the wanted state only moves forward, with the name of who asked", () => {
  const book = apply(sampleBook({}), homeSteps(sampleBook({}), create()), 5);
  apply(book, homeSteps(book, change(OPEN)), 6);
  expect(book.home("e")).toMatchObject({ wantedState: OPEN, requestedBy: "another admin" });
  expect(homeSteps(book, change(OPEN))).toEqual([]);
  apply(book, homeSteps(book, change(CLOSED)), 7);
  expect(() => homeSteps(book, change(OPEN))).toThrow(expect.objectContaining({ reason: "ELECTION_CLOSED" }));
});

test("an election that does not exist cannot be opened or closed", () => {
  expect(() => homeSteps(sampleBook({}), change(CLOSED))).toThrow(
    expect.objectContaining({ reason: "UNKNOWN_ELECTION" }),
  );
});

function scheduled(state: ElectionState, times: Times): ElectionBook {
  const book = sampleBook({});
  book.add(sampleEntry(1, state, sampleDefinition("e", "", times)));
  return book;
}

const schedules = [
  { state: CREATED, times: { opensAtMs: 50 }, atMs: 49, does: [] },
  { state: CREATED, times: { opensAtMs: 50 }, atMs: 50, does: ["open by schedule"] },
  { state: OPEN, times: { opensAtMs: 50 }, atMs: 50, does: [] },
  { state: OPEN, times: { opensAtMs: 50, closesAtMs: 90 }, atMs: 89, does: [] },
  { state: OPEN, times: { opensAtMs: 50, closesAtMs: 90 }, atMs: 90, does: ["close by schedule"] },
  { state: CREATED, times: { opensAtMs: 50, closesAtMs: 90 }, atMs: 90, does: ["close by schedule"] },
  { state: CLOSED, times: { opensAtMs: 50, closesAtMs: 90 }, atMs: 99, does: [] },
  { state: CREATED, times: {}, atMs: 99, does: [] },
];

for (const { state, times, atMs, does } of schedules) {
  const name = `${ElectionState[state]} with ${JSON.stringify(times)} at ${atMs}`;
  test(`${name} is due for: ${does.join(", ") || "nothing"}`, () => {
    expect(actions(dueSteps(scheduled(state, times), atMs))).toEqual(does);
  });
}

test("what time does at the home is wanted from then on, so that every shard follows", () => {
  const book = scheduled(CREATED, { opensAtMs: 50 });
  book.putHome(sampleHome(sampleDefinition("e", "", { opensAtMs: 50 }), CREATED));
  const steps = dueSteps(book, 50);
  expect(actions(steps)).toEqual(["open by schedule", "want-open by schedule"]);
  apply(book, steps, 6);
  expect(book.home("e")?.wantedState).toBe(OPEN);
  expect(dueSteps(book, 60)).toEqual([]);
});
