/** Whom the look-up asks Postgres about; what Postgres answers is tested on a real one. */
import type pg from "pg";
import { expect, test } from "vitest";
import { ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { sampleBook, sampleFrame } from "./sample-election.ts";
import { lookUpVotes } from "./vote-lookup.ts";

const { OPEN, CLOSED } = ElectionState;

/** Bytes of an array of one dimension without its elements, and of each uuid in it. */
const arrayHeadBytes = 20;
const elementBytes = 20;

/** How many voters of the frame are asked about. */
async function asked(state: ElectionState, known: readonly string[]): Promise<number> {
  const book = sampleBook({ e: state });
  const remembered = sampleFrame(
    "e",
    known.map((voter) => ({ voter })),
  ).frame;
  for (const { nullifier } of remembered.votes) book.entry("e")?.voters.add(nullifier, 0);
  let voters = 0;
  const query = async ({ values: [array] }: { values: [Buffer] }) => {
    voters += (array.length - arrayHeadBytes) / elementBytes;
    return { rows: [] };
  };
  const { frame } = sampleFrame("e", [{ voter: "ann" }, { voter: "bob" }, { voter: "cy" }]);
  await lookUpVotes({ query } as unknown as pg.Client, book, frame.votes);
  return voters;
}

test("of an open election only voters who may have voted are looked up (I2)", async () => {
  expect(await asked(OPEN, ["bob"])).toBe(1);
});

test("of a closed election everybody is looked up: no unique key would notice a mistake (I3)", async () => {
  expect(await asked(CLOSED, ["bob"])).toBe(3);
});
