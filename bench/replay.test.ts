/**
 * The client's half of the contract, against a router that answers by script: what is sent again, what is counted as
 * what, and when it gives up. The whole cluster is tested elsewhere.
 */
import { afterEach, expect, test } from "vitest";
import type { ElectionFile } from "#bench/election-file.ts";
import { parseElectionFile } from "#bench/election-file.ts";
import type { ReplayOptions } from "#bench/replay.ts";
import { replay } from "#bench/replay.ts";
import type { ReplayReport, SettledBallot } from "#bench/replay-account.ts";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import { rejectionMessage } from "#mesh/rejection-status.ts";
import { MeshService, ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import type { Vote } from "#proto/generated/urna/v1/vote_pb.js";
import type { CastVoteBatchRequest } from "#proto/generated/urna/v1/vote_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";

const logOrigin = "urna/shard/0";

/** Receipts by voter, as a shard gives them out. */
class BallotBox {
  readonly leaves = new Map<string, number>();

  cast({ electionId, voter, idempotencyKey }: Vote) {
    expect(idempotencyKey).toHaveLength(16);
    const voterId = voter.value ?? "";
    const known = this.leaves.get(voterId);
    const leafIndex = known ?? this.leaves.size;
    this.leaves.set(voterId, leafIndex);
    const receipt = { receiptId: `r-${leafIndex}`, electionId, logOrigin, leafIndex: BigInt(leafIndex) };
    return { result: { case: "receipt" as const, value: receipt }, repeat: known !== undefined };
  }
}

type Outcomes = { outcomes: unknown[] };
type Script = (request: CastVoteBatchRequest, call: number, box: BallotBox) => Promise<Outcomes> | Outcomes;

const castAll: Script = ({ votes }, _, box) => ({ outcomes: votes.map((vote) => box.cast(vote)) });

function refusal(reason: "OUTCOME_UNKNOWN" | "OVERLOADED" | "ALREADY_VOTED") {
  return { result: { case: "rejection" as const, value: rejectionMessage(new RejectionError(reason, reason, 1)) } };
}

class ScriptedRouter {
  readonly #server: GrpcServer;
  calls = 0;
  address = "";

  constructor(box: BallotBox, script: Script) {
    const votesBefore = BigInt(box.leaves.size);
    const elsewhere = () => Promise.reject(new RejectionError("NOT_FOUND"));
    this.#server = new GrpcServer([
      bind(VoteService, {
        castVote: elsewhere,
        getReceipt: elsewhere,
        castVotes: () => {
          throw new RejectionError("NOT_FOUND");
        },
        castVoteBatch: async (request) => (await script(request, this.calls++, box)) as never,
      }),
      bind(MeshService, {
        getMeshStatus: async () => ({ nodes: [{ shardId: 0, role: ShardRole.WRITER, votes: votesBefore }] }) as never,
      }),
    ]);
  }

  async listen(address = "127.0.0.1:0"): Promise<this> {
    const { host, port } = await this.#server.listen(address);
    this.address = `${host}:${port}`;
    return this;
  }

  close = () => this.#server.close(0);
}

const routers: ScriptedRouter[] = [];

afterEach(async () => {
  await Promise.all(routers.splice(0).map((router) => router.close()));
});

async function router(box: BallotBox, script: Script, address?: string): Promise<ScriptedRouter> {
  const started = await new ScriptedRouter(box, script).listen(address);
  routers.push(started);
  return started;
}

function fileOf(...rows: string[]): ElectionFile {
  const text = ["county,precinct,party,candidate,votes", ...rows].join("\n");
  return parseElectionFile("scripted.csv", new TextEncoder().encode(text));
}

type RunOptions = Omit<ReplayOptions, "routers" | "file">;

function run(file: ElectionFile, targets: readonly ScriptedRouter[], options: RunOptions = {}): Promise<ReplayReport> {
  return replay({ routers: targets.map(({ address }) => address), file, ...options });
}

const file = fileOf("A,P,X,C,1500", "A,Q,X,D,700", "B,R,X,C,300");
const allRecorded = { ballots: 2_500, recorded: 2_500, repeats: 0, rejected: {}, unknown: 0, unsent: 0 };

test("every ballot is cast once, over all routers", async () => {
  const box = new BallotBox();
  const two = [await router(box, castAll), await router(box, castAll)];
  const report = await run(file, two, { callsInFlight: 2 });
  expect(report).toMatchObject({ ...allRecorded, resends: 0 });
  expect(report.perShard).toEqual(new Map([[logOrigin, 2_500]]));
  expect(report.votesPerSecond).toBeGreaterThan(0);
  expect(report.p99Ms).toBeGreaterThanOrEqual(report.p50Ms);
  expect(box.leaves.size).toBe(2_500);
  for (const { calls } of two) expect(calls).toBeGreaterThan(0);
});

test("a second replay counts repeats only, also where a call of it was sent again (I3)", async () => {
  const box = new BallotBox();
  await run(file, [await router(box, castAll)]);
  const flaky: Script = (request, call, stored) => {
    const answer = castAll(request, call, stored);
    if (call % 2 === 0) throw new RejectionError("OUTCOME_UNKNOWN", undefined, 1);
    return answer;
  };
  const report = await run(file, [await router(box, flaky)]);
  expect(report).toMatchObject({ ...allRecorded, recorded: 0, repeats: 2_500 });
  expect(report.resends).toBeGreaterThan(0);
});

test("votes that were stored and never answered are sent again after the deadline, and count as recorded", async () => {
  const box = new BallotBox();
  const silentOnce: Script = (request, call, stored) => {
    const answer = castAll(request, call, stored);
    return call === 1 ? new Promise<Outcomes>(() => {}) : answer;
  };
  const report = await run(file, [await router(box, silentOnce)], { callsInFlight: 1, callDeadlineMs: 400 });
  expect(report).toMatchObject({ ...allRecorded, resends: 1_000 });
});

test("only the votes that are not settled are sent again", async () => {
  const box = new BallotBox();
  const resent: number[] = [];
  const script: Script = ({ votes }, call, stored) => {
    if (call > 0) resent.push(votes.length);
    const outcomes = votes.map((vote, i) => {
      if (call > 0 || i % 10 > 1) return stored.cast(vote);
      if (i % 10 === 0) stored.cast(vote);
      return refusal(i % 10 === 0 ? "OUTCOME_UNKNOWN" : "OVERLOADED");
    });
    return { outcomes };
  };
  const report = await run(fileOf("A,P,X,C,1000"), [await router(box, script)]);
  expect(report).toMatchObject({ ballots: 1_000, recorded: 1_000, repeats: 0, resends: 200 });
  expect(resent).toEqual([200]);
});

test("a refusal that is final is counted by its reason and not sent again", async () => {
  const script: Script = ({ votes }, _, box) => ({
    outcomes: votes.map((vote, i) => (i === 0 ? refusal("ALREADY_VOTED") : box.cast(vote))),
  });
  const report = await run(file, [await router(new BallotBox(), script)]);
  expect(report).toMatchObject({ recorded: 2_497, rejected: { ALREADY_VOTED: 3 }, unknown: 0, resends: 0 });

  const closed = await router(new BallotBox(), () => Promise.reject(new RejectionError("UNKNOWN_ELECTION")));
  expect(await run(file, [closed])).toMatchObject({ recorded: 0, rejected: { UNKNOWN_ELECTION: 2_500 } });
});

test("a router that dies and comes back at the same address is used again, and nothing is lost", async () => {
  const box = new BallotBox();
  const mortal = await router(box, castAll);
  let settled = 0;
  let successor: Promise<ScriptedRouter> | undefined;
  const report = await run(fileOf("A,P,X,C,6000"), [mortal], {
    callsInFlight: 2,
    // A server that closes within its process does not cut its calls as the end of a process does.
    callDeadlineMs: 1_000,
    onSettled: () => {
      if (++settled === 2_000) successor = mortal.close().then(() => router(box, castAll, mortal.address));
    },
  });
  expect(report).toMatchObject({ ballots: 6_000, recorded: 6_000, repeats: 0, unknown: 0 });
  expect((await successor)?.calls).toBeGreaterThan(0);
});

test("while one router is away the others take everything", async () => {
  const box = new BallotBox();
  const away = await router(box, castAll);
  await away.close();
  const report = await run(file, [await router(box, castAll), away]);
  expect(report).toMatchObject(allRecorded);
  expect(away.calls).toBe(0);
});

test("without any progress it gives up: what was sent is unknown, the rest unsent", async () => {
  const silent = await router(new BallotBox(), () => new Promise<Outcomes>(() => {}));
  const settled: SettledBallot[] = [];
  const report = await run(file, [silent], {
    callsInFlight: 2,
    stalledMs: 100,
    progressIntervalMs: 20,
    onSettled: (ballot) => settled.push(ballot),
  });
  expect(report).toMatchObject({ recorded: 0, unknown: 2_000, unsent: 500 });
  expect(settled).toHaveLength(2_000);
});

test("a signal stops it", async () => {
  const stop = new AbortController();
  const script: Script = (request, call, box) => {
    if (call === 1) stop.abort();
    return call === 0 ? castAll(request, call, box) : new Promise<Outcomes>(() => {});
  };
  const report = await run(file, [await router(new BallotBox(), script)], { callsInFlight: 1, signal: stop.signal });
  expect(report).toMatchObject({ recorded: 1_000, unknown: 1_000, unsent: 500 });
});

test("an answer with too few outcomes ends the replay loudly (I4)", async () => {
  const fewer: Script = ({ votes }, _, box) => ({ outcomes: votes.slice(1).map((vote) => box.cast(vote)) });
  await expect(run(file, [await router(new BallotBox(), fewer)])).rejects.toThrow(/1000 votes with 999 outcomes/);
});

test("at a fixed rate latency counts from the scheduled time, so that a stall is not hidden", async () => {
  const box = new BallotBox();
  const stallMs = 300;
  const script: Script = async (request, call, stored) => {
    if (call === 0) await new Promise((resolve) => setTimeout(resolve, stallMs));
    return castAll(request, call, stored);
  };
  const report = await run(fileOf("A,P,X,C,400"), [await router(box, script)], { ratePerSecond: 1_000 });
  expect(report).toMatchObject({ recorded: 400 });
  expect(report.votesPerSecond).toBeLessThan(1_100);
  expect(report.maxMs).toBeGreaterThanOrEqual(stallMs - 5);
  expect(report.p50Ms).toBeLessThan(stallMs);
});

test("the ledger names every voter once, with the receipt", async () => {
  const box = new BallotBox();
  const settled: SettledBallot[] = [];
  await run(file, [await router(box, castAll)], { onSettled: (ballot) => settled.push(ballot) });
  expect(settled).toHaveLength(2_500);
  for (const { ballot, ...outcome } of settled) {
    const leafIndex = box.leaves.get(ballot.voterId);
    expect(outcome).toEqual({ kind: "recorded", receipt: { receiptId: `r-${leafIndex}`, logOrigin, leafIndex } });
  }
});
