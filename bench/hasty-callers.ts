/** Callers that leave before their answer: each of their votes must be wholly in or wholly out. */
import { connect, constants } from "node:http2";
import { setImmediate as turn } from "node:timers/promises";
import type { VoteInit } from "#bench/bad-input-elections.ts";
import type { BadInputRig } from "#bench/bad-input-rig.ts";
import { castVoteBatchRequest, castVoteRequest, castVotesFrame, inParts } from "#bench/bad-input-rig.ts";
import { postConnect } from "#bench/raw-connect.ts";
import { framed, RawGrpc } from "#bench/raw-grpc.ts";

export type HastyCaller = {
  readonly title: string;
  readonly votes: number;
  /** Sends all of the votes, and leaves at a moment of its own for each call: at once, or some turns of the loop later. */
  readonly cast: (rig: BadInputRig, votes: VoteInit[]) => Promise<unknown>;
};

const turnsMax = 40;
/** About a thousand resets on one connection end it. */
const resetsPerConnection = 500;

export const hastyCallers: readonly HastyCaller[] = [
  {
    title: "a caller that cancels CastVote",
    votes: 120,
    cast: (rig, votes) =>
      eachAt(votes, async (vote, turns) => {
        const stream = rig.grpc.open("VoteService/CastVote");
        stream.end(framed(castVoteRequest(vote).bytes));
        await turnsOfTheLoop(turns);
        stream.close(constants.NGHTTP2_CANCEL);
      }),
  },
  {
    title: "a caller that cancels CastVoteBatch",
    votes: 2_000,
    cast: (rig, votes) =>
      eachAt(inParts(votes, 250), async (part, turns) => {
        const stream = rig.grpc.open("VoteService/CastVoteBatch");
        stream.end(framed(castVoteBatchRequest(part).bytes));
        await turnsOfTheLoop(5 * turns);
        stream.close(constants.NGHTTP2_CANCEL);
      }),
  },
  {
    title: "a caller that cancels CastVotes",
    votes: 1_000,
    cast: (rig, votes) =>
      eachAt(inParts(votes, 100), async (part, turns) => {
        const stream = rig.grpc.open("VoteService/CastVotes");
        for (const vote of part) stream.write(castVotesFrame(vote));
        await turnsOfTheLoop(turns);
        stream.close(constants.NGHTTP2_CANCEL);
      }),
  },
  {
    title: "a page that is closed while Connect JSON is under way",
    votes: 80,
    cast: (rig, votes) =>
      eachAt(votes, async (vote, turns) => {
        const leaving = new AbortController();
        const { json } = castVoteRequest(vote);
        const answer = postConnect(rig.connectUrl, "VoteService/CastVote", json, {}, leaving.signal).catch(() => {});
        await turnsOfTheLoop(turns);
        leaving.abort();
        await answer;
      }),
  },
  {
    title: "a caller that dies with its connection",
    votes: 1_000,
    cast: async ({ grpcAddress }, votes) => {
      await eachAt(inParts(votes, 50), async (part, turns) => {
        const dying = new RawGrpc(grpcAddress);
        for (const vote of part) dying.open("VoteService/CastVote").end(framed(castVoteRequest(vote).bytes));
        await turnsOfTheLoop(turns);
        dying.cut();
      });
    },
  },
  {
    title: "10,000 streams opened and reset",
    votes: 10_000,
    cast: async ({ grpcAddress }, votes) => {
      for (const part of inParts(votes, resetsPerConnection)) await openAndReset(grpcAddress, part);
    },
  },
];

/** One connection: a stream for each vote, reset as soon as the vote has been written to it. */
async function openAndReset(address: string, votes: readonly VoteInit[]): Promise<void> {
  const session = connect(`http://${address}`);
  session.on("error", () => {});
  const gone = new Promise((resolve) => session.once("close", resolve));
  for (const vote of votes) {
    const stream = session.request({
      ":method": "POST",
      ":path": "/urna.v1.VoteService/CastVotes",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    stream.write(castVotesFrame(vote), () => stream.close(constants.NGHTTP2_CANCEL));
  }
  session.close();
  await gone;
}

async function eachAt<T>(items: readonly T[], work: (item: T, turns: number) => Promise<void>): Promise<void> {
  for (const [i, item] of items.entries()) await work(item, i % turnsMax);
}

/** Time, measured in what happened meanwhile. */
async function turnsOfTheLoop(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await turn();
}
