import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RecordVotesRequestSchema, RecordVotesResponseSchema } from "./generated/urna/v1/shard_service_pb.js";
import { frameVotesMax } from "./limits.ts";
import { encodeRecordFrame, encodeRecordOutcomes, RecordAnswer } from "./record-frame.ts";
import { UnreadableMessage } from "./wire-cursor.ts";

const uint32s = (length: number) =>
  fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: length, maxLength: length });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const safe = fc.oneof(fc.nat(), fc.maxSafeNat());

const frames = fc.nat({ max: 20 }).chain((votes) =>
  fc.record({
    frameId: safe,
    mapEpoch: safe,
    electionId: fc.string(),
    definitionHash: fc.oneof(bytes(32), bytes(0)),
    nullifiers: bytes(votes * 16),
    keyHashes: bytes(votes * 16),
    regions: uint32s(votes),
    ballots: fc.uint8Array({ maxLength: 300 }),
    ballotLengths: uint32s(votes),
    deadlineMs: uint32s(votes),
    traceparent: fc.oneof(fc.constant(""), fc.string()),
  }),
);

test("a frame has the very bytes that protobuf-es writes", () => {
  fc.assert(
    fc.property(frames, (frame) => {
      const { frameId, mapEpoch, regions, ballotLengths, deadlineMs } = frame;
      const message = { ...frame, frameId: BigInt(frameId), mapEpoch: BigInt(mapEpoch) };
      const encoded = encodeRecordFrame({
        ...frame,
        regions: Uint32Array.from(regions),
        ballotLengths: Uint32Array.from(ballotLengths),
        deadlineMs: Uint32Array.from(deadlineMs),
      });
      const expected = toBinary(RecordVotesRequestSchema, create(RecordVotesRequestSchema, message));
      expect(encoded.equals(expected)).toBe(true);
    }),
  );
});

const numbers = fc.array(safe, { maxLength: 20 });
const answers = fc.record({
  frameId: safe,
  outcomes: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 20 }),
  leafIndexes: numbers,
  batches: numbers,
  logOrigin: fc.string(),
});

function encodeAnswer({ frameId, outcomes, leafIndexes, batches, logOrigin }: AnswerFields): Buffer {
  const message = {
    frameId: BigInt(frameId),
    outcomes,
    leafIndexes: leafIndexes.map(BigInt),
    batches: batches.map(BigInt),
    logOrigin,
  };
  return Buffer.from(toBinary(RecordVotesResponseSchema, create(RecordVotesResponseSchema, message)));
}

type AnswerFields = typeof answers extends fc.Arbitrary<infer Fields> ? Fields : never;

test("an answer is read as protobuf-es wrote it, one after the other", () => {
  const answer = new RecordAnswer();
  fc.assert(
    fc.property(answers, (fields) => {
      answer.read(encodeAnswer(fields));
      const read = (column: RecordAnswer["batches"]) => Array.from({ length: column.length }, (_, i) => column.at(i));
      expect({
        frameId: answer.frameId,
        outcomes: read(answer.outcomes),
        leafIndexes: read(answer.leafIndexes),
        batches: read(answer.batches),
        logOrigin: answer.logOrigin,
      }).toEqual(fields);
    }),
  );
});

test("an answer's numbers may come one by one, and fields of later versions are passed over", () => {
  const answer = new RecordAnswer();
  const unknown = [
    0x30,
    ...new Array<number>(9).fill(0xff),
    0x01,
    0x3a,
    0x02,
    0x08,
    0x08,
    0x41,
    ...new Array(8).fill(8),
  ];
  answer.read(Buffer.from([0x08, 0x07, ...unknown, 0x10, 0x01, 0x12, 0x02, 0x02, 0x03]));
  expect(answer.frameId).toBe(7);
  expect([0, 1, 2].map((i) => answer.outcomes.at(i))).toEqual([1, 2, 3]);
});

const unreadable: [string, number[]][] = [
  ["is cut off in a number", [0x08, 0x80]],
  ["is cut off in a field", [0x2a, 0x05, 0x41]],
  ["has a number beyond 2^53", [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f]],
  ["has a packed number that goes on after its field", [0x12, 0x01, 0x81, 0x01]],
  ["has numbers of another wire type", [0x15, 0, 0, 0, 0]],
  ["has a group", [0x33]],
];

for (const [what, message] of unreadable) {
  test(`an answer that ${what} is not read`, () => {
    expect(() => new RecordAnswer().read(Buffer.from(message))).toThrow(UnreadableMessage);
  });
}

test("an answer for more votes than a frame may have is not read", () => {
  const outcomes = new Array<number>(frameVotesMax + 1).fill(1);
  const bytesOf = encodeAnswer({ frameId: 1, outcomes, leafIndexes: [], batches: [], logOrigin: "" });
  expect(() => new RecordAnswer().read(bytesOf)).toThrow(UnreadableMessage);
});

test("the bytes of an answer are those that protobuf-es writes, whatever the columns hold", () => {
  const row = fc.tuple(fc.nat(12), fc.nat(Number.MAX_SAFE_INTEGER), fc.nat(Number.MAX_SAFE_INTEGER));
  fc.assert(
    fc.property(fc.array(row, { maxLength: 30 }), fc.nat(), fc.string(), (rows, frameId, logOrigin) => {
      const [outcomes, leafIndexes, batches] = [0, 1, 2].map((column) => rows.map((cells) => cells[column] ?? 0));
      const written = encodeRecordOutcomes({
        frameId,
        outcomes: Uint8Array.from(outcomes ?? []),
        leafIndexes: Float64Array.from(leafIndexes ?? []),
        batches: Float64Array.from(batches ?? []),
        logOrigin,
      });
      expect(written).toEqual(
        encodeAnswer({
          frameId,
          outcomes: outcomes ?? [],
          leafIndexes: leafIndexes ?? [],
          batches: batches ?? [],
          logOrigin,
        }),
      );
    }),
  );
});
