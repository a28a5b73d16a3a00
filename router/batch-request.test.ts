import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CastVoteBatchRequestSchema } from "#proto/generated/urna/v1/vote_service_pb.js";
import { BatchRequests } from "./batch-request.ts";
import { ReceivedVotes } from "./received-votes.ts";

const requests = new BatchRequests();

/** What is in the columns, vote by vote; the columns may lie in different buffers. */
function plain(votes: ReceivedVotes) {
  return Array.from({ length: votes.length }, (_, at) => {
    const keyStart = votes.keyStarts[at] ?? 0;
    const keyLength = votes.keyLengths[at] ?? 0;
    const selections = [];
    for (let selection = votes.firstSelection(at); selection < (votes.selectionEnds[at] ?? 0); selection++) {
      const options = votes.optionIds.slice(votes.firstOption(selection), votes.optionEnds[selection]);
      selections.push([votes.contestIds[selection], ...options]);
    }
    return {
      electionId: votes.electionIds[at],
      regionId: votes.regionIds[at],
      kind: votes.voterKinds[at],
      voter: Buffer.from(votes.bytes.subarray(votes.voterStarts[at], votes.voterEnds[at])).toString("latin1"),
      // The bytes of a key that is too long are not kept, and the rest of a vote that is refused does not matter.
      key:
        keyLength > 32 ? keyLength : Buffer.from(votes.bytes.subarray(keyStart, keyStart + keyLength)).toString("hex"),
      selections,
      weight: votes.weights[at],
    };
  });
}

/** What protobuf-es makes of the bytes; undefined when it refuses them, or when they are no batch. */
function expected(bytes: Uint8Array) {
  try {
    const messages = fromBinary(CastVoteBatchRequestSchema, bytes).votes;
    if (messages.length === 0) return undefined;
    const votes = new ReceivedVotes(messages.length);
    for (const message of messages) votes.add(message);
    return plain(votes);
  } catch {
    return undefined;
  }
}

function read(bytes: Uint8Array) {
  try {
    return plain(requests.read(bytes));
  } catch (cause) {
    expect(cause).toMatchObject({ reason: "INVALID_REQUEST" });
    return undefined;
  }
}

const text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("e", "another", "belknap/alton", "mayor", "") },
  { weight: 2, arbitrary: fc.string({ maxLength: 128 }) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 20 }) },
);
const voter = fc.oneof(
  fc.record({ case: fc.constantFrom("voterId" as const, "ballotId" as const), value: text }),
  fc.constant({ case: undefined }),
);
const selections = fc.array(fc.record({ contestId: text, optionIds: fc.array(text, { maxLength: 3 }) }), {
  maxLength: 3,
});
const vote = fc.record({
  electionId: text,
  voter,
  regionId: text,
  selections,
  idempotencyKey: fc.uint8Array({ maxLength: 40 }),
});
const request = fc
  .array(vote, { maxLength: 8 })
  .map((votes) => toBinary(CastVoteBatchRequestSchema, create(CastVoteBatchRequestSchema, { votes })));

test("a request is read as protobuf-es reads it", () => {
  fc.assert(
    fc.property(request, (bytes) => {
      expect(read(bytes)).toEqual(expected(bytes));
    }),
    { numRuns: 500 },
  );
});

test("a request as libraries write it is read where it stands, without protobuf-es", () => {
  const selection = (contest: string, ...options: string[]) =>
    message([1, contest], ...options.map((option): Field => [2, option]));
  const full = (voterField: 2 | 3) =>
    message(
      [1, "e"],
      [voterField, "some-voter"],
      [4, "belknap/alton"],
      [5, selection("mayor", "ada")],
      [5, selection("council", "x", "y")],
      [6, Buffer.alloc(32, 0xff)],
    );
  const bytes = message([1, full(2)], [1, full(3)], [1, message()]);
  expect(requests.read(bytes).bytes).toBe(bytes);
  expect(read(bytes)).toEqual(expected(bytes));
  const strange = message([1, full(2)], [7, "x"]);
  expect(requests.read(strange).bytes).not.toBe(strange);
});

test("a request that is spoilt anywhere is read, or refused, as protobuf-es does", () => {
  const spoils = fc.array(fc.tuple(fc.nat(), fc.constantFrom("set", "cut out", "put in"), fc.nat(255)), {
    minLength: 1,
    maxLength: 3,
  });
  fc.assert(
    fc.property(request, spoils, (bytes, changes) => {
      const spoilt = [...bytes];
      for (const [place, how, byte] of changes) {
        spoilt.splice(place % (spoilt.length + 1), how === "put in" ? 0 : 1, ...(how === "cut out" ? [] : [byte]));
      }
      const message = Uint8Array.from(spoilt);
      expect(read(message)).toEqual(expected(message));
    }),
    { numRuns: 2_000 },
  );
});

type Field = readonly [field: number, value: string | Uint8Array | number];

function message(...fields: readonly Field[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [field, value] of fields) {
    if (typeof value === "number") writer.tag(field, WireType.Varint).uint32(value);
    else if (typeof value === "string") writer.tag(field, WireType.LengthDelimited).string(value);
    else writer.tag(field, WireType.LengthDelimited).bytes(value);
  }
  return writer.finish();
}

/** Fields of a vote, and of a selection, in any number and order, of any wire type: what no library writes and all must read. */
const odd = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 8 }), fc.oneof(text, fc.uint8Array({ maxLength: 8 }), fc.nat())),
  fc.tuple(
    fc.constant(5),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), text)).map((fields) => message(...fields)),
  ),
);

test("fields that are there twice, in another order, unknown or of another wire type are read as protobuf-es reads them", () => {
  const votes = fc.array(fc.array(odd, { maxLength: 8 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(votes, fc.boolean(), (all, unknown) => {
      const fields = all.map((vote): Field => [1, message(...vote)]);
      const bytes = message(...fields, ...(unknown ? [[2, "x"] as const] : []));
      expect(read(bytes)).toEqual(expected(bytes));
    }),
    { numRuns: 2_000 },
  );
});

const whole = (field: number, value: string): Field => [field, value];

for (const [what, fields] of [
  ["a voter id after a ballot id", [whole(3, "b"), whole(2, "v")]],
  ["a ballot id after a voter id", [whole(2, "v"), whole(3, "b")]],
  ["a voter id twice", [whole(2, "v"), whole(2, "w")]],
  ["a region twice", [whole(4, "one"), whole(4, "two")]],
  ["an empty voter id", [whole(2, "")]],
  ["a region that is not ASCII", [whole(4, "zoë")]],
  ["a voter id that is not ASCII", [whole(2, "zoë")]],
  ["a region of 1,000 characters", [whole(4, "r".repeat(1_000))]],
  ["a voter id of 1,000 characters", [whole(2, "v".repeat(1_000))]],
] as const) {
  test(`${what} is read as protobuf-es reads it`, () => {
    const bytes = message([1, message(...fields)]);
    if (what.includes("1,000 characters") && what.includes("voter")) {
      // Too long either way; how much of it is kept does not matter.
      expect(read(bytes)?.[0]?.voter.length).toBeGreaterThan(128);
    } else expect(read(bytes)).toEqual(expected(bytes));
  });
}

test("a thousand votes are a batch, one more is none, whichever way they are written", () => {
  const votes = (count: number, ...more: readonly Field[]) =>
    message(...Array.from({ length: count }, (): Field => [1, message([2, "v"])]), ...more);
  expect(read(votes(1_000))).toHaveLength(1_000);
  expect(read(votes(1_000, [9, 1]))).toHaveLength(1_000);
  expect(() => requests.read(votes(1_001))).toThrow("not 1001");
  expect(() => requests.read(votes(1_001, [9, 1]))).toThrow("not 1001");
  expect(() => requests.read(votes(0))).toThrow("not 0");
});

test("columns that somebody keeps are not filled again", () => {
  const bytes = (voterId: string) => message([1, message([1, "e"], [2, voterId])]);
  const first = requests.read(bytes("first"));
  first.keep();
  const second = requests.read(bytes("second"));
  expect(plain(first)[0]?.voter).toBe("first");
  expect(plain(second)[0]?.voter).toBe("second");
  expect(requests.read(bytes("third"))).toBe(second);
});
