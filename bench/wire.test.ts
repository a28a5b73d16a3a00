import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BallotEncoder } from "#bench/ballot-encoder.ts";
import type { ElectionFile } from "#bench/election-file.ts";
import { parseElectionFile } from "#bench/election-file.ts";
import { LogNames, MalformedResponse, OutcomeReader } from "#bench/outcome-reader.ts";
import { readStreamResponse, streamRequest } from "#bench/vote-senders.ts";
import { Workload } from "#bench/workload.ts";
import { checkDefinition } from "#proto/definition-check.ts";
import type { Outcome } from "#proto/generated/urna/v1/vote_pb.js";
import { OutcomeSchema } from "#proto/generated/urna/v1/vote_pb.js";
import {
  CastVoteBatchRequestSchema,
  CastVoteBatchResponseSchema,
  CastVoteRequestSchema,
  CastVotesRequestSchema,
  CastVotesResponseSchema,
} from "#proto/generated/urna/v1/vote_service_pb.js";

function fileOf(rows: readonly string[]): ElectionFile {
  const text = ["county,precinct,party,candidate,votes", ...rows].join("\n");
  return parseElectionFile("wire-test.csv", new TextEncoder().encode(text));
}

function encodedByProtobufEs(file: ElectionFile, cells: Uint32Array, indexes: Uint32Array): Uint8Array {
  const votes = Array.from(cells, (cell, i) => {
    const { voterId, regionId, optionId, idempotencyKey } = file.ballot(cell, indexes[i] ?? 0);
    return {
      electionId: file.electionId,
      voter: { case: "voterId" as const, value: voterId },
      regionId,
      selections: [{ contestId: "contest", optionIds: [optionId] }],
      idempotencyKey,
    };
  });
  return toBinary(CastVoteBatchRequestSchema, create(CastVoteBatchRequestSchema, { votes }));
}

test("encoded ballots are byte for byte what protobuf-es makes of them", () => {
  const long = "w".repeat(64);
  const file = fileOf(["Belknap,Alton,REP,Donald Trump,2420", "A,B,X,C,1000000", `${long},${long},X,${long},12`]);
  const encoder = new BallotEncoder(file.electionId, file.cells);
  const cells = Uint32Array.from([0, 1, 2, 1, 1, 0, 2]);
  const indexes = Uint32Array.from([0, 999_999, 11, 0, 10, 2419, 0]);
  expect(encoder.encode(cells, indexes, 7)).toEqual(Buffer.from(encodedByProtobufEs(file, cells, indexes)));
  expect(encoder.encode(cells, indexes, 3).length).toBeLessThan(encoder.encode(cells, indexes, 7).length);
});

test("voter ids of every length up to 128 bytes are encoded right", () => {
  const rows = Array.from({ length: 64 }, (_, n) => `${"c".repeat(n + 1)},${"p".repeat(60)},X,o,11`);
  const file = fileOf(rows);
  const encoder = new BallotEncoder(file.electionId, file.cells);
  const cells = Uint32Array.from(file.cells, (_, n) => n);
  const indexes = cells.map((n) => n % 11);
  expect(encoder.encode(cells, indexes, cells.length)).toEqual(Buffer.from(encodedByProtobufEs(file, cells, indexes)));
});

const receipts = fc.record({
  receiptId: fc.stringMatching(/^[0-9A-Z-]{0,20}$/),
  electionId: fc.stringMatching(/^[a-z-]{1,64}$/),
  logOrigin: fc.constantFrom("urna/shard/0", "urna/shard/1", "other/shard/10"),
  leafIndex: fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }),
});
const rejections = fc.record({
  reason: fc.constantFrom("ALREADY_VOTED", "OVERLOADED"),
  message: fc.string(),
  retryable: fc.boolean(),
  retryAfter: fc.nat({ max: 100_000 }).map(durationFromMs),
});
const outcomes: fc.Arbitrary<Outcome> = fc
  .tuple(
    fc.oneof(
      receipts.map((value) => ({ case: "receipt" as const, value })),
      rejections.map((value) => ({ case: "rejection" as const, value })),
    ),
    fc.boolean(),
  )
  .map(([result, repeat]) => create(OutcomeSchema, { result, repeat }));

test("outcomes are read as protobuf-es reads them", () => {
  fc.assert(
    fc.property(fc.array(outcomes, { maxLength: 20 }), (sent) => {
      const response = create(CastVoteBatchResponseSchema, { outcomes: sent });
      expect(readOutcomes(toBinary(CastVoteBatchResponseSchema, response))).toEqual(sent.map(summary));
    }),
  );
});

test("fields that a later version may add are passed over", () => {
  const outcome = Buffer.from(
    toBinary(
      OutcomeSchema,
      create(OutcomeSchema, { result: { case: "receipt", value: { logOrigin: "urna/shard/0", leafIndex: 7n } } }),
    ),
  );
  // Field 9 as a varint, a fixed64, bytes and a fixed32, first within the outcome and then within the response.
  const added = Buffer.from([0x48, 0x85, 0x01, 0x49, 1, 2, 3, 4, 5, 6, 7, 8, 0x4a, 2, 9, 9, 0x4d, 1, 2, 3, 4]);
  const body = Buffer.concat([added, outcome]);
  const bytes = Buffer.concat([added, Buffer.from([0x0a, body.length]), body, added]);
  expect(fromBinary(CastVoteBatchResponseSchema, bytes).outcomes).toHaveLength(1);
  expect(readOutcomes(bytes)).toEqual([{ log: "urna/shard/0", leafIndex: 7, receiptId: "", repeat: false }]);
});

test("a response that is cut off, or whose outcome has no result, is malformed and never an outcome", () => {
  const whole = toBinary(
    CastVoteBatchResponseSchema,
    create(CastVoteBatchResponseSchema, {
      outcomes: [{ result: { case: "receipt", value: { receiptId: "0-0000-1", logOrigin: "urna/shard/0" } } }],
    }),
  );
  for (let length = 1; length < whole.length; length++) {
    expect(() => readOutcomes(whole.subarray(0, length)), `${length} bytes`).toThrow(MalformedResponse);
  }
  expect(() => readOutcomes(Uint8Array.from([0x0a, 0x00]))).toThrow(MalformedResponse);
});

test("a streamed request is what protobuf-es makes of its sequence and vote", () => {
  const unary = new Workload("load").next(1);
  const { vote } = fromBinary(CastVoteRequestSchema, unary);
  if (vote === undefined) throw new Error("no vote");
  for (const sequence of [1, 127, 128, 16_384, 2 ** 31, 2 ** 40]) {
    const expected = toBinary(
      CastVotesRequestSchema,
      create(CastVotesRequestSchema, { sequence: BigInt(sequence), vote }),
    );
    expect(streamRequest(sequence, unary)).toEqual(Buffer.from(expected));
  }
});

test("a streamed response is read as protobuf-es reads it", () => {
  fc.assert(
    fc.property(outcomes, fc.integer({ min: 1, max: 2 ** 40 }), (outcome, sequence) => {
      const bytes = toBinary(
        CastVotesResponseSchema,
        create(CastVotesResponseSchema, { sequence: BigInt(sequence), outcome }),
      );
      expect(readStreamResponse(Buffer.from(bytes))).toEqual({
        sequence,
        isReceipt: outcome.result.case === "receipt",
      });
    }),
  );
});

test("generated voters are all different, and their election is valid", () => {
  const workload = new Workload("load");
  expect(() => checkDefinition(workload.definition)).not.toThrow();
  const { votes } = fromBinary(CastVoteBatchRequestSchema, Buffer.concat([workload.next(700), workload.next(1_300)]));
  expect(new Set(votes.map(({ voter }) => voter.value)).size).toBe(2_000);
  expect(new Set(votes.map(({ regionId }) => regionId)).size).toBe(300);
});

function summary({ result, repeat }: Outcome): unknown {
  if (result.case === "receipt") {
    const { logOrigin, leafIndex, receiptId } = result.value;
    return { log: logOrigin, leafIndex: Number(leafIndex), receiptId, repeat };
  }
  return { rejection: result.value, repeat };
}

function readOutcomes(bytes: Uint8Array): unknown[] {
  const logs = new LogNames();
  const reader = new OutcomeReader(bytes, logs);
  const read: unknown[] = [];
  while (reader.next()) {
    const { isReceipt, log, leafIndex, repeat } = reader;
    read.push(
      isReceipt
        ? { log: logs.names[log], leafIndex, receiptId: reader.receiptId(), repeat }
        : { rejection: reader.rejection(), repeat },
    );
  }
  return read;
}
