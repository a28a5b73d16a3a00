import { tmpdir } from "node:os";
import { describe, expect, onTestFinished, test } from "vitest";
import { bind, GrpcServer } from "#mesh/grpc-server.ts";
import type { ServiceBinding, ServiceImplementation } from "#mesh/service-call.ts";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { runCaptured } from "./captured-run.ts";
import { exitCode } from "./exit-code.ts";

const folder = tmpdir();

async function serve(...bindings: ServiceBinding[]): Promise<string> {
  const server = new GrpcServer(bindings);
  const { port } = await server.listen("127.0.0.1:0");
  onTestFinished(() => server.close(0));
  return `127.0.0.1:${port}`;
}

/** Answers what the test says and refuses all else. */
function votes(castVote: ServiceImplementation<typeof VoteService>["castVote"]): ServiceBinding {
  const refuse = () => {
    throw new RejectionError("NOT_FOUND", "no vote was recorded with this key");
  };
  // biome-ignore lint/correctness/useYield: the call is refused before it answers anything.
  const refuseStream = async function* () {
    refuse();
  };
  const refuseCall = async () => refuse();
  return bind(VoteService, { castVote, castVoteBatch: refuseCall, castVotes: refuseStream, getReceipt: refuseCall });
}

const vote = ["vote", "--election", "town", "--voter", "v-17", "--region", "north", "--select", "mayor=ann,bob"];
const key = "ab".repeat(16);

describe("a vote", () => {
  test("is sent as the command line says, and its receipt and key are printed", async () => {
    const seen: unknown[] = [];
    const server = await serve(
      votes(async ({ vote: sent }) => {
        seen.push(sent);
        return {
          receipt: { receiptId: "0-0KM2-9", electionId: "town", logOrigin: "urna/shard/0", leafIndex: 20_000n },
        };
      }),
    );
    const run = await runCaptured([...vote, "--select", "levy=", "--server", server], folder);
    expect(run.code).toBe(exitCode.done);
    expect(seen).toMatchObject([
      {
        electionId: "town",
        regionId: "north",
        voter: { case: "voterId", value: "v-17" },
        selections: [
          { contestId: "mayor", optionIds: ["ann", "bob"] },
          { contestId: "levy", optionIds: [] },
        ],
      },
    ]);
    expect(run.stdout).toMatch(
      /^recorded\nreceipt {3}0-0KM2-9\n.*\nlog {7}urna\/shard\/0, leaf 20,000\nkey {7}[0-9a-f]{32}\n/,
    );
  });

  test("that is a repeat says so (I3), and --json bears the key", async () => {
    const receipt = { receiptId: "0-0KM2-9", electionId: "town", logOrigin: "urna/shard/0", leafIndex: 1n };
    const server = await serve(votes(async () => ({ receipt, repeat: true })));
    const run = await runCaptured([...vote, "--key", key, "--server", server], folder);
    expect(run.stdout).toMatch(/^recorded before; this is the original receipt\n/);
    const json = await runCaptured([...vote, "--key", key, "--json", "--server", server], folder);
    expect(JSON.parse(json.stdout)).toMatchObject({ repeat: true, idempotencyKey: key, receipt: { leafIndex: "1" } });
  });

  test("that is refused ends with exit code 1: id, message and advice on standard error, and the key", async () => {
    const server = await serve(
      votes(async () => {
        throw new RejectionError("OUTCOME_UNKNOWN");
      }),
    );
    const run = await runCaptured([...vote, "--key", key, "--server", server], folder);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain(`key: ${key}`);
    expect(run.stderr).toContain("urna: OUTCOME_UNKNOWN: the vote may or may not be stored");
    expect(run.stderr).toContain("Send exactly the same vote again, with the same idempotency key");
    const json = await runCaptured([...vote, "--json", "--server", server], folder);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { reason: "OUTCOME_UNKNOWN", retryable: true } });
  });

  test("asked of a server that is no router ends with exit code 3", async () => {
    const run = await runCaptured([...vote, "--server", await serve()], folder);
    expect(run.code).toBe(exitCode.unreachable);
    expect(run.stderr).toContain("check that --server names a router");
  });
});

test("a receipt that is not there is refused", async () => {
  const server = await serve(votes(async () => ({})));
  const args = ["receipt", "--election", "town", "--voter", "v", "--key", key, "--server", server];
  const run = await runCaptured(args, folder);
  expect(run.code).toBe(exitCode.refused);
  expect(run.stderr).toContain("NOT_FOUND: no vote was recorded with this key");
});

describe("a watched tally", () => {
  const elections = bind(ElectionService, {
    createElection: async () => ({}),
    openElection: async () => ({}),
    closeElection: async () => ({}),
    getElection: async () => ({ election: { definition: { electionId: "town", title: "Town" } } }),
    listElections: async () => ({}),
  });

  /** Streams of [incarnation, number, ballots]; each stream ends after its frames, the last frame of all is final. */
  function tallies(streams: (readonly [bigint, bigint, bigint])[][]): ServiceBinding {
    const refuse = async () => {
      throw new RejectionError("NOT_FOUND");
    };
    return bind(TallyService, {
      getTally: refuse,
      // biome-ignore lint/correctness/useYield: not asked for here.
      async *getTallyTable() {
        throw new RejectionError("NOT_FOUND");
      },
      async *watchTally({ electionId }) {
        for (const [incarnation, number, ballots] of streams.shift() ?? []) {
          const isFinal = ballots === 100n;
          const state = isFinal ? ElectionState.CLOSED : ElectionState.OPEN;
          const cut = {
            frame: { incarnation, number },
            vector: [{ shardId: 0, batch: ballots }],
            final: isFinal,
            state,
          };
          yield { electionId, cut, region: { ballots } };
        }
      },
      // biome-ignore lint/correctness/useYield: not asked for here.
      async *recount() {
        throw new RejectionError("NOT_FOUND");
      },
    });
  }

  test("never shows a count that falls (I7), survives a broken stream, and ends when the counts are final", async () => {
    const first = [
      [1n, 1n, 10n],
      [1n, 2n, 20n],
    ] as const;
    const second = [
      [2n, 1n, 5n],
      [2n, 2n, 21n],
      [2n, 3n, 100n],
    ] as const;
    const server = await serve(elections, tallies([[...first], [...second]]));
    const run = await runCaptured(["tally", "town", "--watch", "--json", "--server", server], folder);
    expect(run.code).toBe(exitCode.done);
    const ballots = run.stdout.split("\n").map((line) => JSON.parse(line).region.ballots);
    expect(ballots).toEqual(["10", "20", "21", "100"]);
    expect(run.stderr).toBe("urna: not live (the stream ended); trying again");
  });

  test("of an election that is not there is refused at once", async () => {
    const unknown = bind(ElectionService, {
      ...(elections.implementation as ServiceImplementation<typeof ElectionService>),
      getElection: async () => {
        throw new RejectionError("UNKNOWN_ELECTION");
      },
    });
    const run = await runCaptured(["tally", "twon", "--watch", "--server", await serve(unknown)], folder);
    expect(run.code).toBe(exitCode.refused);
    expect(run.stderr).toContain("urna: UNKNOWN_ELECTION:");
  });
});
