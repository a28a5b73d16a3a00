/** Bad input to a running cluster: a clear typed error each time, nothing stored that should not be, nothing lost that should. */
import { create, fromBinary, fromJsonString, toBinary, toJson } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { badFrames, badTexts } from "#bench/bad-bodies.ts";
import type { VoteInit } from "#bench/bad-input-elections.ts";
import { definitionOf, goodVote, sealed, town, unopened } from "#bench/bad-input-elections.ts";
import { BadInputRig, castVoteBatchRequest, castVoteRequest, castVotesFrame } from "#bench/bad-input-rig.ts";
import { badQuestions, changes, knownVoter, strangers } from "#bench/bad-questions.ts";
import { badVotes } from "#bench/bad-votes.ts";
import { hastyCallers } from "#bench/hasty-callers.ts";
import type { RawAnswer } from "#bench/raw-answer.ts";
import { reasonOf, recorded, refusal } from "#bench/raw-answer.ts";
import { postConnect, preflight } from "#bench/raw-connect.ts";
import { framed } from "#bench/raw-grpc.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionDefinitionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import {
  CastVoteBatchResponseSchema,
  CastVotesRequestSchema,
  CastVotesResponseSchema,
} from "#proto/generated/urna/v1/vote_service_pb.js";

const limitMs = 120_000;
const callLimitMs = 10_000;
const bystanders = 20;

let rig: BadInputRig;

beforeAll(async () => {
  rig = await BadInputRig.start();
}, limitMs);

afterAll(async () => {
  await rig?.stop();
}, limitMs);

let voters = 0;

/** Good votes of voters nobody has heard of. */
function freshVotes(count: number, electionId?: string) {
  return Array.from({ length: count }, () => goodVote(`voter-${voters++}`, electionId));
}

function freshVote(electionId?: string) {
  return goodVote(`voter-${voters++}`, electionId);
}

/** Nothing that `work` does is stored, except so many votes. */
async function storing<T>(votes: number, work: () => Promise<T>): Promise<T> {
  const before = await rig.rows();
  const result = await work();
  expect((await rig.rows()) - before).toBe(votes);
  return result;
}

let sealedBallots = 0;

/** The vote left no trace before: it is recorded now, and not as a repeat. */
async function expectNew(vote: VoteInit): Promise<void> {
  if (vote.electionId === sealed) sealedBallots += 1;
  const { receipt, repeat } = await storing(1, () => rig.votes.castVote({ vote }, { deadlineMs: callLimitMs }));
  expect(receipt?.electionId).toBe(vote.electionId);
  expect(repeat).toBe(false);
}

describe("a vote that must not count", () => {
  const oneByOne: [way: string, cast: (vote: VoteInit) => Promise<RawAnswer>][] = [
    ["by unary gRPC", (vote) => rig.castUnary(vote)],
    ["by Connect JSON", (vote) => rig.castJson(vote)],
  ];
  for (const { title, reason, electionId, spoil } of badVotes) {
    for (const [way, cast] of oneByOne) {
      test(`${title}, ${way}: ${reason}, no count moves, and the voter can still vote (I4)`, async () => {
        const good = freshVote(electionId);
        const answer = await storing(0, () => cast(spoil(good)));
        expect(answer).toMatchObject(refusal(reason));
        await expectNew(good);
      });
    }
  }

  for (const [index, { title, reason, electionId, spoil }] of badVotes.entries()) {
    test(`${title}, one among 1,000: ${reason}, and the other 999 are recorded (I4)`, async () => {
      const votes: VoteInit[] = freshVotes(1_000);
      const good = freshVote(electionId);
      const place = (index * 111) % 1_000;
      votes[place] = spoil(good);
      const outcomes = await storing(999, () => rig.castBatch(votes));
      expect(outcomes).toHaveLength(1_000);
      expect(outcomes.filter(recorded)).toHaveLength(999);
      expect(reasonOf(outcomes[place])).toBe(reason);
      await expectNew(good);
    });
  }

  test("all of them in one batch of Connect JSON, with good ones between: each has its own outcome (I4)", async () => {
    const spoilt = badVotes.map(({ electionId, spoil }) => spoil(freshVote(electionId)));
    const { json } = castVoteBatchRequest(spoilt.flatMap((vote) => [vote, freshVote()]));
    const { messages } = await storing(spoilt.length, () => rig.postJson("VoteService/CastVoteBatch", json));
    const { outcomes } = fromJsonString(CastVoteBatchResponseSchema, Buffer.concat(messages).toString("utf8"));
    expect(outcomes.map(reasonOf)).toEqual(badVotes.flatMap(({ reason }) => [reason, "receipt"]));
  });

  test("all of them in one stream, with good ones between: each sequence is answered exactly once (I4)", async () => {
    const wanted = new Map<bigint, string>();
    const call = rig.votes.castVotes({ deadlineMs: callLimitMs });
    await storing(badVotes.length, async () => {
      for (const [i, { reason, electionId, spoil }] of badVotes.entries()) {
        wanted.set(BigInt(2 * i), reason).set(BigInt(2 * i + 1), "receipt");
        call.send({ sequence: BigInt(2 * i), vote: spoil(freshVote(electionId)) });
        call.send({ sequence: BigInt(2 * i + 1), vote: freshVote() });
      }
      call.send({ sequence: 1_000n });
      call.end();
      const answers = await allOf(call.responses);
      expect(answers).toHaveLength(2 * badVotes.length + 1);
      const got = new Map(answers.map(({ sequence, outcome }) => [sequence, reasonOf(outcome)]));
      expect(got).toEqual(wanted.set(1_000n, "INVALID_REQUEST"));
    });
  });
});

async function allOf<T>(responses: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const response of responses) all.push(response);
  return all;
}

describe("an undervote", () => {
  test("is accepted by unary gRPC, in a batch and by Connect JSON, and counted as one", async () => {
    const empty = (): VoteInit => ({ ...freshVote(), regionId: "south/ward-3", selections: [] });
    const contestOnly = (): VoteInit => ({ ...empty(), selections: [{ contestId: "mayor", optionIds: [] }] });
    await storing(1_003, async () => {
      expect(await rig.castUnary(empty())).toMatchObject({ code: "OK" });
      expect(await rig.castJson(empty())).toMatchObject({ code: "OK" });
      expect(await rig.castJson(contestOnly())).toMatchObject({ code: "OK" });
      const outcomes = await rig.castBatch([...freshVotes(999), empty()]);
      expect(outcomes.filter(recorded)).toHaveLength(1_000);
    });
    const { region } = await rig.tallyOf(town, "south/ward-3", 4);
    expect(region?.ballots).toBe(4n);
    const undervotes = region?.contests.map(({ contestId, undervotes: count }) => [contestId, count]);
    expect(undervotes).toEqual([
      ["mayor", 4n],
      ["council", 8n],
      ["bridge", 4n],
    ]);
    expect(region?.contests.flatMap(({ options }) => options).every(({ count }) => count === 0n)).toBe(true);
  });
});

describe("a batch", () => {
  const sizes: [title: string, votes: number][] = [
    ["of no votes", 0],
    ["of 1,001 votes", 1_001],
  ];
  for (const [title, votes] of sizes) {
    test(`${title} is refused whole, by gRPC and Connect JSON: INVALID_REQUEST`, async () => {
      const { bytes, json } = castVoteBatchRequest(freshVotes(votes));
      await storing(0, async () => {
        const method = "VoteService/CastVoteBatch";
        expect(await rig.grpc.call(method, framed(bytes))).toMatchObject(refusal("INVALID_REQUEST"));
        expect(await rig.postJson(method, json)).toMatchObject(refusal("INVALID_REQUEST"));
      });
    });
  }

  test("with one voter twice records the first of them alone (I2)", async () => {
    const [vote, other] = [freshVote(), freshVote()];
    const again = { ...vote, idempotencyKey: new Uint8Array(16) };
    const outcomes = await storing(2, () => rig.castBatch([vote, other, again]));
    expect(outcomes.map(reasonOf)).toEqual(["receipt", "receipt", "ALREADY_VOTED"]);
  });
});

describe("a request that cannot be read", () => {
  const single = () => castVoteRequest(freshVote());
  const thousand = () => castVoteBatchRequest(freshVotes(1_000));
  const inStream = () => {
    const message = create(CastVotesRequestSchema, { sequence: 1n, vote: freshVote() });
    return { bytes: Buffer.from(toBinary(CastVotesRequestSchema, message)) };
  };
  for (const { title, spoil, headers, isBig } of badFrames) {
    const requests = { CastVoteBatch: thousand, ...(isBig ? {} : { CastVote: single, CastVotes: inStream }) };
    for (const [method, good] of Object.entries(requests)) {
      test(`${title}, gRPC ${method}: INVALID_REQUEST, and nothing of it is stored`, async () => {
        const body = spoil(good().bytes);
        const answer = await storing(0, () => rig.grpc.call(`VoteService/${method}`, body, headers));
        expect(answer).toMatchObject(refusal("INVALID_REQUEST"));
      });
    }
  }

  for (const { title, spoil, headers, isBig } of badTexts) {
    const requests = { CastVoteBatch: thousand, ...(isBig ? {} : { CastVote: single }) };
    for (const [method, good] of Object.entries(requests)) {
      test(`${title}, Connect ${method}: INVALID_REQUEST, and nothing of it is stored`, async () => {
        const body = spoil(good().json);
        const answer = await storing(0, () => postConnect(rig.connectUrl, `VoteService/${method}`, body, headers));
        expect(answer).toMatchObject(refusal("INVALID_REQUEST"));
      });
    }
  }

  test("another content type on the gRPC address: 415, and nothing is stored", async () => {
    for (const type of ["text/plain", "application/json", "application/x-www-form-urlencoded"]) {
      const answer = await storing(0, () => rig.castUnary(freshVote(), { "content-type": type }));
      expect(answer.http).toBe(415);
    }
  });

  test("a method that does not exist: UNIMPLEMENTED over gRPC, INVALID_REQUEST over Connect", async () => {
    const { bytes, json } = single();
    expect(await rig.grpc.call("VoteService/StealVote", framed(bytes))).toMatchObject({ code: "UNIMPLEMENTED" });
    expect(await rig.postJson("VoteService/StealVote", json)).toMatchObject(refusal("INVALID_REQUEST"));
  });

  test("garbage in a stream ends it with INVALID_REQUEST, and the votes before it are wholly in or out (I4)", async () => {
    const votes = freshVotes(100);
    const body = Buffer.concat([...votes.map((vote) => castVotesFrame(vote)), framed(Buffer.alloc(64, 0xff))]);
    await storing(100, async () => {
      expect(await rig.grpc.call("VoteService/CastVotes", body)).toMatchObject(refusal("INVALID_REQUEST"));
      expect((await rig.castBatch(votes)).every(({ result }) => result.case === "receipt")).toBe(true);
    });
  });
});

describe("a deadline that has passed on arrival", () => {
  const batch = () => castVoteBatchRequest(freshVotes(10));
  const ways = {
    "grpc-timeout": {
      timeouts: ["0m", "1n", "1m", "15m"],
      cast: async (headers: Record<string, string>) => [
        await rig.castUnary(freshVote(), headers),
        await rig.grpc.call("VoteService/CastVoteBatch", framed(batch().bytes), headers),
        await rig.grpc.call("VoteService/CastVotes", castVotesFrame(freshVote()), headers),
      ],
    },
    "connect-timeout-ms": {
      timeouts: ["0", "1", "15"],
      cast: async (headers: Record<string, string>) => [
        await rig.castJson(freshVote(), headers),
        await rig.postJson("VoteService/CastVoteBatch", batch().json, headers),
      ],
    },
  };
  for (const [header, { timeouts, cast }] of Object.entries(ways)) {
    for (const timeout of timeouts) {
      test(`${header} ${timeout}: DEADLINE_EXCEEDED, and nothing is stored`, async () => {
        for (const { code, reason } of await storing(0, () => cast({ [header]: timeout }))) {
          expect(code).toBe("DEADLINE_EXCEEDED");
          // When it passes between two steps of the call the transport alone sees it, and cannot know more.
          expect(["DEADLINE_PASSED", "OUTCOME_UNKNOWN"]).toContain(reason);
        }
      });
    }
  }
});

describe("whoever leaves before the answer", () => {
  for (const { title, votes: count, cast } of hastyCallers) {
    test(`${title}: every vote is wholly in or out, sent again it counts once, others go on (I2, I3)`, async () => {
      const votes = freshVotes(count);
      await storing(count + bystanders, async () => {
        const [, others] = await Promise.all([cast(rig, votes), rig.castOneByOne(freshVotes(bystanders))]);
        expect(others.filter(({ code }) => code === "OK")).toHaveLength(bystanders);
        const first = await rig.receiptsOf(votes);
        expect(await rig.receiptsOf(votes)).toEqual(first);
        expect(new Set(first).size).toBe(count);
      });
      expect(rig.fallen()).toEqual([]);
    });
  }
});

describe("a stream of votes", () => {
  test("that is half-closed with answers outstanding gets all of them, each once, and then OK (I4)", async () => {
    const votes = freshVotes(5_000);
    const body = Buffer.concat(votes.map((vote, i) => castVotesFrame(vote, BigInt(i))));
    const { code, messages } = await storing(5_000, () => rig.grpc.call("VoteService/CastVotes", body));
    expect(code).toBe("OK");
    const answers = messages.map((bytes) => fromBinary(CastVotesResponseSchema, bytes));
    expect(new Set(answers.map(({ sequence }) => sequence)).size).toBe(5_000);
    expect(answers.filter(({ outcome }) => outcome !== undefined && recorded(outcome))).toHaveLength(5_000);
  });

  test("whose sequences repeat answers each message once, under the sequence that it came with (I4)", async () => {
    const call = rig.votes.castVotes({ deadlineMs: callLimitMs });
    const vote = freshVote();
    for (const sequenced of [freshVote(), freshVote(), vote, vote]) call.send({ sequence: 7n, vote: sequenced });
    call.end();
    const answers = await storing(3, () => allOf(call.responses));
    expect(answers.map(({ sequence }) => sequence)).toEqual([7n, 7n, 7n, 7n]);
    expect(answers.filter(({ outcome }) => outcome?.repeat === true)).toHaveLength(1);
  });
});

describe.concurrent("a question without an answer", () => {
  beforeAll(async () => {
    await rig.castBatch([goodVote(knownVoter)]);
  });
  for (const { title, method, request, reason } of badQuestions) {
    test(`${title}, by gRPC and Connect JSON: ${reason}`, async () => {
      for (const answer of await rig.ask(method, request, rig.asAdmin)) expect(answer).toMatchObject(refusal(reason));
    });
  }
});

describe("an election", () => {
  const stateOf = async (electionId: string) => {
    const { election } = await rig.elections.getElection({ electionId });
    return { state: election?.state, shards: election?.shards.map(({ state }) => state) };
  };
  for (const { title, method, request } of changes) {
    const refused = async (headers: Record<string, string>) => {
      const answers = await storing(0, () => rig.ask(method, request, headers));
      for (const answer of answers) expect(answer).toMatchObject(refusal("PERMISSION_DENIED"));
    };
    test(`${title} without a token, by gRPC and Connect JSON: PERMISSION_DENIED`, () => refused({}));
    for (const { title: stranger, authorization } of strangers) {
      test(`${title} with ${stranger}, by gRPC and Connect JSON: PERMISSION_DENIED`, () =>
        refused({ authorization: authorization(rig.cluster.adminToken()) }));
    }
  }

  test("stands where it stood after all that, takes votes, and none was made", async () => {
    expect(await stateOf(town)).toEqual({ state: ElectionState.OPEN, shards: [ElectionState.OPEN] });
    expect(await stateOf(unopened)).toEqual({ state: ElectionState.CREATED, shards: [ElectionState.CREATED] });
    await expectNew(freshVote());
    const { elections } = await rig.elections.listElections({});
    expect(elections.map(({ definition }) => definition?.electionId)).not.toContain("coup");
  });

  test("keeps its first definition: another is refused by gRPC and Connect JSON, ELECTION_EXISTS", async () => {
    const { createElection } = ElectionService.method;
    const ask = async (definition: ElectionDefinition) =>
      await rig.ask(createElection, { definition: toJson(ElectionDefinitionSchema, definition) }, rig.asAdmin);
    const other = definitionOf(town);
    other.contests[0]?.options.reverse();
    for (const answer of await storing(0, () => ask(other))) expect(answer).toMatchObject(refusal("ELECTION_EXISTS"));
    for (const answer of await ask(definitionOf(town))) expect(answer).toMatchObject({ code: "OK" });
    const { election } = await rig.elections.getElection({ electionId: town });
    expect(election?.definition).toEqual(definitionOf(town));
    expect((await stateOf(town)).state).toBe(ElectionState.OPEN);
  });
});

describe("a web page", () => {
  const foreign = ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example", ""];
  for (const origin of foreign) {
    test(`of origin "${origin}" cannot vote, close or preflight: 403, PERMISSION_DENIED, nothing changes`, async () => {
      const vote = freshVote();
      await storing(0, async () => {
        for (const type of ["application/json", "text/plain"]) {
          const answer = await rig.castJson(vote, { origin, "content-type": type });
          expect(answer).toMatchObject({ http: 403, ...refusal("PERMISSION_DENIED") });
        }
        const closing = await rig.postJson("ElectionService/CloseElection", `{"electionId":"${town}"}`, {
          origin,
          ...rig.asAdmin,
        });
        expect(closing).toMatchObject({ http: 403, ...refusal("PERMISSION_DENIED") });
        expect(await preflight(rig.connectUrl, origin)).toEqual({ status: 403, allowed: null });
      });
      await expectNew(vote);
    });
  }

  test("of the router's own origin can vote, and a preflight says so", async () => {
    const origin = rig.connectUrl;
    expect(await preflight(rig.connectUrl, origin)).toEqual({ status: 204, allowed: origin });
    const answer = await storing(1, () => rig.castJson(freshVote(), { origin }));
    expect(answer).toMatchObject({ code: "OK" });
  });
});

test("after all of it no process has fallen, the tally is exactly what was acknowledged, and a recount agrees (I5, I7)", async () => {
  expect(rig.fallen()).toEqual([]);
  const ballots = (await rig.rows()) - sealedBallots;
  const { region } = await rig.tallyOf(town, "", ballots);
  expect(Number(region?.ballots)).toBe(ballots);
  const parts = await allOf(rig.tally.recount({ electionId: town }));
  expect(parts.at(-1)?.part).toMatchObject({ case: "result", value: { matches: true, rowsCounted: BigInt(ballots) } });
});
