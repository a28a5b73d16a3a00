import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TraceSpan } from "#mesh/tracing.ts";
import { electionShape } from "#proto/election-shape.ts";
import { ContestKind, ElectionDefinitionSchema, KeyKind } from "#proto/generated/urna/v1/election_pb.js";
import type { RejectionError } from "#proto/rejections.ts";
import { Admission } from "./admission.ts";
import { checkBallot } from "./ballot-form.ts";
import type { CachedElection } from "./election-cache.ts";
import { ReceivedVotes } from "./received-votes.ts";
import { noRow, VoteTable } from "./vote-table.ts";

const log = { origin: "test/shard/0", shardId: 0 };

function setUp(votesMax = 10) {
  const admission = new Admission({ votesMax, bytesMax: 1_000_000 });
  const table = new VoteTable(admission);
  const outcomes: string[] = [];
  const owner = {
    accepted: (index: number) => void outcomes.push(`${index} accepted`),
    refused: (index: number, { reason }: RejectionError) => void outcomes.push(`${index} ${reason}`),
  };
  const admit = (index: number) => table.admit(owner, index, 10, 0, false);
  return { admission, table, outcomes, admit };
}

test("a vote gives its room back once, whichever comes first: its outcome or its leaving", () => {
  const { admission, table, outcomes, admit } = setUp();
  const row = admit(7);
  table.hold(row);
  expect(table.release(row)).toBe(true);
  expect(admission.votes).toBe(1);
  table.expire(row);
  table.expire(row);
  expect({ votes: admission.votes, bytes: admission.bytes }).toEqual({ votes: 0, bytes: 0 });
  const held = admit(8);
  table.hold(held);
  table.accept(held, log, 1, false);
  table.expire(held);
  expect(admission.votes).toBe(1);
  expect(table.release(held)).toBe(false);
  expect(admission.votes).toBe(0);
  expect(outcomes).toEqual(["7 SHARD_UNAVAILABLE", "8 accepted"]);
});

test("a full table admits nobody, and a row that is free again starts anew (I9)", () => {
  const { table, outcomes, admit } = setUp(2);
  const first = admit(0);
  admit(1);
  expect(admit(2)).toBe(noRow);
  table.sent(first, 5);
  table.lost(first);
  table.expire(first);
  const again = admit(3);
  expect(again).toBe(first);
  expect({ settled: table.settled(again), resent: table.resent(again), sends: table.sends(again) }).toEqual({
    settled: false,
    resent: false,
    sends: 0,
  });
  table.expire(again);
  expect(outcomes).toEqual(["0 OUTCOME_UNKNOWN", "3 SHARD_UNAVAILABLE"]);
});

test("a refusal of one send is final only while no send can have stored the vote (I4)", () => {
  const { table, outcomes, admit } = setUp();
  const unsent = admit(0);
  const inFlight = admit(1);
  table.sent(inFlight, 1);
  const answered = admit(2);
  table.sent(answered, 1);
  table.answered(answered);
  const lostOnce = admit(3);
  table.sent(lostOnce, 1);
  table.lost(lostOnce);
  table.sent(lostOnce, 9);
  table.answered(lostOnce);
  expect(table.answeredBefore(lostOnce)).toBe(1);
  for (const row of [unsent, inFlight, answered, lostOnce]) table.refuseSend(row, "OVERLOADED");
  expect(outcomes).toEqual(["0 OVERLOADED", "1 OUTCOME_UNKNOWN", "2 OVERLOADED", "3 OUTCOME_UNKNOWN"]);
});

test("a row keeps its ballot, however long it is", () => {
  const optionIds = Array.from({ length: 60 }, (_, i) => `o${i}`);
  const contest = {
    contestId: "c",
    kind: ContestKind.PLURALITY,
    options: optionIds.map((optionId) => ({ optionId })),
    maxSelections: 60,
  };
  const shape = electionShape(
    create(ElectionDefinitionSchema, {
      electionId: "e",
      keyKind: KeyKind.VOTER,
      contests: [contest],
      regions: [{ regionId: "north/one" }, { regionId: "north/two" }],
    }),
  );
  const { table, admit } = setUp(200);
  const election = { electionId: "e", shape } as CachedElection;
  const lengths = fc.array(fc.nat(60), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(lengths, (counts) => {
      const rows = counts.map((count) => {
        const votes = new ReceivedVotes(1);
        const selections = [{ contestId: "c", optionIds: optionIds.slice(0, count) }];
        const voter = { case: "voterId", value: "v" } as const;
        votes.add({ electionId: "e", voter, regionId: "north/two", selections, idempotencyKey: new Uint8Array() });
        const row = admit(0);
        table.prepare(row, election, checkBallot(shape, votes, 0));
        return row;
      });
      for (const [i, row] of rows.entries()) {
        const ballot = Buffer.alloc(table.ballotLength(row) + 1);
        table.copyBallot(row, ballot, 1);
        const cells = Array.from({ length: counts[i] ?? 0 }, (_, cell) => ballot.readUInt16BE(1 + cell * 2));
        expect(cells).toEqual(optionIds.slice(0, counts[i]).map((_, cell) => cell + 1));
        expect(table.region(row)).toBe(1);
        table.expire(row);
      }
    }),
  );
});

test("a frame goes with the trace of the first recorded call in it; calls that are not recorded, or answered, have none", () => {
  const { table, admit } = setUp();
  const ignore = { accepted: () => {}, refused: () => {} };
  const traces = ["first", "second"].map((traceparent) => ({ traceparent }) as TraceSpan);
  const recorded = traces.map((trace) => table.admit({ ...ignore, traceFrame: () => trace }, 0, 10, 0, false));
  const plain = [admit(0), admit(1)];
  expect(table.traceOf(Uint32Array.from(plain))).toBeUndefined();
  expect(table.traceOf(Uint32Array.from([...plain, ...recorded]))?.traceparent).toBe("first");
  table.expire(recorded[0] ?? noRow);
  expect(table.traceOf(Uint32Array.from([...plain, ...recorded]))?.traceparent).toBe("second");
});
