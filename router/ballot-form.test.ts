import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { decodeBallot, electionShape, encodeBallot } from "#proto/election-shape.ts";
import { KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import { VoteSchema } from "#proto/generated/urna/v1/vote_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { ballotBytes, checkBallot, writeBallot } from "./ballot-form.ts";
import { ReceivedVotes } from "./received-votes.ts";
import { definition } from "./router-harness.ts";

type VoteInit = MessageInitShape<typeof VoteSchema>;

const voters = electionShape(definition());
const ballots = electionShape(definition({ keyKind: KeyKind.BALLOT }));
const good = {
  electionId: "e",
  voter: { case: "voterId", value: "v1" },
  regionId: "north/one",
  selections: [
    { contestId: "council", optionIds: ["z", "x"] },
    { contestId: "mayor", optionIds: ["bob"] },
  ],
} as const satisfies VoteInit;

function received(init: VoteInit): ReceivedVotes {
  const votes = new ReceivedVotes(1);
  votes.add(create(VoteSchema, init));
  return votes;
}

function check(overrides: VoteInit = {}, shape = voters): number[] {
  checkBallot(shape, received({ ...good, ...overrides }), 0);
  const ballot = Buffer.alloc(ballotBytes());
  writeBallot(ballot, 0);
  return decodeBallot(ballot);
}

test("a vote becomes its canonical ballot, whatever the order of its selections", () => {
  const cells = check();
  expect(cells).toEqual([2, 4, 6]);
  expect(check({ selections: [...good.selections].reverse() })).toEqual(cells);
  expect(checkBallot(voters, received(good), 0)).toBe(0);
  const written = Buffer.alloc(ballotBytes());
  writeBallot(written, 0);
  expect(written).toEqual(encodeBallot(cells));
});

test("no selections, and a contest without options, are undervotes and accepted", () => {
  expect(check({ selections: [] })).toEqual([]);
  expect(check({ selections: [{ contestId: "mayor" }] })).toEqual([]);
});

test("a refused vote leaves nothing behind for the next one", () => {
  expect(() => check({ selections: [{ contestId: "mayor", optionIds: ["nobody"] }] })).toThrow(RejectionError);
  expect(check({ selections: [{ contestId: "mayor", optionIds: ["ada"] }] })).toEqual([1]);
});

const refused: [string, VoteInit, string][] = [
  ["no voter id", { voter: { case: undefined } }, "voter_id"],
  ["an empty voter id", { voter: { case: "voterId", value: "" } }, "voter_id"],
  ["a voter id of 129 characters", { voter: { case: "voterId", value: "x".repeat(129) } }, "voter_id"],
  ["a voter id with a space", { voter: { case: "voterId", value: "a b" } }, "voter_id"],
  ["a voter id that ends in a line feed", { voter: { case: "voterId", value: "a\n" } }, "voter_id"],
  [
    "a voter id of 129 characters that are not ASCII",
    { voter: { case: "voterId", value: "ë".repeat(129) } },
    "voter_id",
  ],
  ["a voter id of half a character", { voter: { case: "voterId", value: "\ud800" } }, "voter_id"],
  ["a voter id that is not ASCII", { voter: { case: "voterId", value: "zoë" } }, "voter_id"],
  ["a ballot id where voters vote", { voter: { case: "ballotId", value: "b" } }, "voter_id"],
  ["an idempotency key of 15 bytes", { idempotencyKey: new Uint8Array(15) }, "idempotency_key"],
  ["an idempotency key of 33 bytes", { idempotencyKey: new Uint8Array(33) }, "it has 33"],
  ["an idempotency key of 1,000 bytes", { idempotencyKey: new Uint8Array(1_000) }, "it has 1000"],
  ["an unknown region", { regionId: "west" }, "region_id"],
  ["no region", { regionId: "" }, "region_id"],
  ["a region that is not a leaf", { regionId: "north" }, "not a leaf"],
  ["an unknown contest", { selections: [{ contestId: "king" }] }, "contest_id"],
  ["a contest twice", { selections: [{ contestId: "mayor" }, { contestId: "mayor" }] }, "twice"],
  ["an unknown option", { selections: [{ contestId: "mayor", optionIds: ["x"] }] }, "option_ids"],
  ["an option twice", { selections: [{ contestId: "council", optionIds: ["x", "x"] }] }, "twice"],
  ["too many selections", { selections: [{ contestId: "mayor", optionIds: ["ada", "bob"] }] }, "at most 1"],
  [
    "a contest that is not on this region's ballot",
    { regionId: "south/one", selections: [{ contestId: "council", optionIds: ["x"] }] },
    "not on the ballot",
  ],
];

for (const [title, overrides, field] of refused) {
  test(`${title} is refused as INVALID_BALLOT naming the field`, () => {
    const failure = thrownBy(() => check(overrides));
    expect(failure).toMatchObject({ reason: "INVALID_BALLOT" });
    expect(String(failure)).toContain(field);
  });
}

test("a voter id where ballots are keyed is refused, and a ballot id accepted", () => {
  expect(thrownBy(() => check({}, ballots))).toMatchObject({ reason: "INVALID_BALLOT" });
  expect(check({ voter: { case: "ballotId", value: "b-1" } }, ballots)).toEqual([2, 4, 6]);
});

test("no message repeats a voter id, and none carries back a long text", () => {
  const failure = thrownBy(() => check({ voter: { case: "voterId", value: "secret person" } }));
  expect(String(failure)).not.toContain("secret");
  expect(String(thrownBy(() => check({ regionId: "r".repeat(1_000_000) }))).length).toBeLessThan(300);
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (cause) {
    return cause;
  }
  throw new Error("nothing was thrown");
}
