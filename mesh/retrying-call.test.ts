import { afterEach, expect, test } from "vitest";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { MeshService } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { catalogue, isRejectionReason, RejectionError } from "#proto/rejections.ts";
import { CallError } from "./call-error.ts";
import { createClient } from "./grpc-client.ts";
import { bind, GrpcServer } from "./grpc-server.ts";
import { isRepeatable } from "./repeatable-call.ts";
import { RetryBudget } from "./retry-budget.ts";
import { retryingCall } from "./retrying-call.ts";

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Fails so often, then answers; counts its tries. */
function flaky(failure: unknown, failures = 1) {
  const call = {
    tries: 0,
    attempt: async () => {
      call.tries += 1;
      if (call.tries <= failures) throw failure;
      return "answer";
    },
  };
  return call;
}

function retried(attempt: (leftMs: number | undefined) => Promise<unknown>, options: object = {}) {
  const usual = {
    deadlineMs: 10_000,
    signal: undefined,
    repeatable: false,
    budget: new RetryBudget(),
    random: () => 0,
  };
  return retryingCall({ attempt, ...usual, ...options });
}

for (const reason of Object.keys(catalogue).filter(isRejectionReason)) {
  const { retryable } = catalogue[reason];
  // More time is nothing that a retry has, and what may be stored is repeated only where that is known to do no harm.
  const isRetried = retryable && reason !== "DEADLINE_PASSED" && reason !== "OUTCOME_UNKNOWN";
  test(`${reason} is ${isRetried ? "tried again" : "final"}`, async () => {
    const call = flaky(new RejectionError(reason, undefined, 5));
    const told = await retried(call.attempt).catch((cause: RejectionError) => cause.reason);
    expect([told, call.tries]).toEqual(isRetried ? ["answer", 2] : [reason, 1]);
  });
}

for (const [what, failure] of [
  ["OUTCOME_UNKNOWN", new RejectionError("OUTCOME_UNKNOWN", undefined, 5)],
  ["a broken connection", new CallError("UNAVAILABLE", "the connection broke")],
] as const) {
  test(`after ${what} a call is made again only when it may be repeated`, async () => {
    await expect(retried(flaky(failure).attempt)).rejects.toBe(failure);
    expect(await retried(flaky(failure).attempt, { repeatable: true })).toBe("answer");
  });
}

for (const code of ["DEADLINE_EXCEEDED", "CANCELLED", "UNIMPLEMENTED", "UNKNOWN"] as const) {
  test(`a bare ${code} is final, also for a read`, async () => {
    const call = flaky(new CallError(code, ""));
    await expect(retried(call.attempt, { repeatable: true })).rejects.toMatchObject({ code });
    expect(call.tries).toBe(1);
  });
}

test("the wait that the server asks for is kept, and is never made shorter", async () => {
  const startedAtMs = performance.now();
  await retried(flaky(new RejectionError("OVERLOADED", undefined, 120)).attempt);
  expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(118);
});

test("no try begins that could not end before the deadline, and each is told what is left", async () => {
  const left: number[] = [];
  const late = new RejectionError("OVERLOADED", undefined, 200);
  const failing = async (leftMs: number | undefined) => {
    left.push(leftMs ?? Number.NaN);
    throw late;
  };
  const startedAtMs = performance.now();
  await expect(retried(failing, { deadlineMs: 500 })).rejects.toBe(late);
  expect(performance.now() - startedAtMs).toBeLessThan(500);
  expect(left.length).toBeGreaterThan(1);
  expect(left[0]).toBeLessThanOrEqual(501);
  // The pause before it is a timer of whole milliseconds, which may fire a fraction early.
  expect(left[1]).toBeLessThanOrEqual(302);
});

test("a caller that leaves is not kept waiting", async () => {
  const leaving = new AbortController();
  const failure = new RejectionError("OVERLOADED", undefined, 60_000);
  const call = retried(flaky(failure).attempt, { deadlineMs: undefined, signal: leaving.signal });
  leaving.abort();
  await expect(call).rejects.toBe(failure);
});

test("tries end after the fifth", async () => {
  const call = flaky(new RejectionError("OVERLOADED", undefined, 1), 100);
  await expect(retried(call.attempt)).rejects.toMatchObject({ reason: "OVERLOADED" });
  expect(call.tries).toBe(5);
});

test("retries are a tenth of the calls, and a few besides", async () => {
  const budget = new RetryBudget({ share: 0.1, savedMax: 10, perSecondMin: 0.5 }, 0);
  let retries = 0;
  for (let n = 0; n < 1_000; n++) {
    budget.called();
    if (budget.takeRetry(0)) retries += 1;
  }
  expect(retries).toBeGreaterThanOrEqual(109);
  expect(retries).toBeLessThanOrEqual(110);
  expect(budget.retries).toBe(retries);
  expect(budget.refused).toBe(1_000 - retries);
  for (let second = 1; second <= 60; second++) if (budget.takeRetry(second * 1_000)) retries += 1;
  expect(retries).toBeGreaterThanOrEqual(138);
  expect(retries).toBeLessThanOrEqual(140);
});

test("a client whose every call fails comes hardly more often than without retries", async () => {
  const budget = new RetryBudget();
  let tries = 0;
  const failing = async () => {
    tries += 1;
    throw new RejectionError("OVERLOADED", undefined, 1);
  };
  for (let n = 0; n < 300; n++) await retried(failing, { budget }).catch(() => {});
  expect(tries).toBeGreaterThan(330);
  expect(tries).toBeLessThan(360);
});

test("reads may be repeated, votes with their keys, and nothing else", () => {
  const services = [VoteService, ElectionService, LedgerService, TallyService, MeshService];
  const unary = services.flatMap(({ methods }) => methods).filter((method) => method.methodKind === "unary");
  const repeatable = unary.filter((method) => isRepeatable(method, { vote: {}, votes: [{}] })).map(({ name }) => name);
  expect(repeatable.sort()).toEqual([
    "GetCheckpoint",
    "GetConsistencyProof",
    "GetElection",
    "GetElectionResult",
    "GetInclusionProof",
    "GetMeshStatus",
    "GetReceipt",
    "GetTally",
    "GetVerifierKeys",
    "ListElections",
  ]);
  const [keyed, keyless] = [{ idempotencyKey: new Uint8Array(16) }, { idempotencyKey: new Uint8Array() }];
  const { castVote, castVoteBatch } = VoteService.method;
  expect(isRepeatable(castVote, { vote: keyed })).toBe(true);
  expect(isRepeatable(castVote, { vote: keyless })).toBe(false);
  expect(isRepeatable(castVoteBatch, { votes: [keyed, keyed] })).toBe(true);
  expect(isRepeatable(castVoteBatch, { votes: [keyed, keyless] })).toBe(false);
});

test("a client with a budget repeats a refused call on the wire; one without does not", async () => {
  let calls = 0;
  const refusing = async () => {
    calls += 1;
    if (calls % 2 === 1) throw new RejectionError("SHARD_UNAVAILABLE", undefined, 10);
    return {};
  };
  const server = new GrpcServer([
    bind(VoteService, {
      castVote: refusing,
      castVoteBatch: refusing,
      getReceipt: refusing,
      async *castVotes() {
        yield {};
      },
    }),
  ]);
  const { port } = await server.listen("127.0.0.1:0");
  const patient = createClient(VoteService, `127.0.0.1:${port}`, undefined, { retry: new RetryBudget() });
  const plain = createClient(VoteService, `127.0.0.1:${port}`);
  closers.push(() => server.close(0), patient.close, plain.close);
  await patient.castVote({}, { deadlineMs: 20_000 });
  expect(calls).toBe(2);
  await expect(plain.castVote({}, { deadlineMs: 20_000 })).rejects.toMatchObject({ reason: "SHARD_UNAVAILABLE" });
  expect(calls).toBe(3);
});
