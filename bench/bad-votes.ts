/** Votes that can be read and must not count: each line becomes one titled test a way of casting. */
import type { VoteInit } from "#bench/bad-input-elections.ts";
import { closed, sealed, timed, town, unopened } from "#bench/bad-input-elections.ts";
import type { RejectionReason } from "#proto/rejections.ts";

export type BadVote = {
  readonly title: string;
  readonly reason: RejectionReason;
  /** Whose good vote is spoilt, and must be taken afterwards. */
  readonly electionId: string;
  readonly spoil: (good: VoteInit) => VoteInit;
};

const voter = (value: string): VoteInit => ({ voter: { case: "voterId", value } });
const select = (...selections: [contestId: string, ...optionIds: string[]][]): VoteInit => ({
  selections: selections.map(([contestId, ...optionIds]) => ({ contestId, optionIds })),
});

function misfit(title: string, patch: VoteInit, electionId = town): BadVote {
  return { title, reason: "INVALID_BALLOT", electionId, spoil: (good) => ({ ...good, ...patch }) };
}

function elsewhere(title: string, electionId: string, reason: RejectionReason): BadVote {
  return { title, reason, electionId: town, spoil: (good) => ({ ...good, electionId }) };
}

export const badVotes: readonly BadVote[] = [
  elsewhere("unknown election", "nowhere", "UNKNOWN_ELECTION"),
  elsewhere("no election", "", "UNKNOWN_ELECTION"),
  elsewhere("an election id that none can have", "Town Hall", "UNKNOWN_ELECTION"),
  elsewhere("an election that is not open", unopened, "ELECTION_NOT_OPEN"),
  elsewhere("an election that was closed", closed, "ELECTION_CLOSED"),
  elsewhere("an election closed by its time", timed, "ELECTION_CLOSED"),
  misfit("empty voter id", voter("")),
  misfit("voter id of 129 characters", voter("v".repeat(129))),
  misfit("voter id that is not ASCII", voter("José")),
  misfit("voter id with a space", voter("v 1")),
  misfit("voter id that ends in a space", voter("v-1 ")),
  misfit("voter id that ends in a newline", voter("v-1\n")),
  misfit("voter id with a zero byte", voter("v\0")),
  misfit("no voter", { voter: { case: undefined } }),
  misfit("ballot id where voters are keyed", { voter: { case: "ballotId", value: "b-1" } }),
  misfit("voter id where ballots are keyed", voter("v-1"), sealed),
  misfit("idempotency key of 15 bytes", { idempotencyKey: new Uint8Array(15) }),
  misfit("idempotency key of 33 bytes", { idempotencyKey: new Uint8Array(33) }),
  misfit("unknown contest", select(["sheriff", "ann"])),
  misfit("a contest named like a property of every object", select(["__proto__", "ann"])),
  misfit("unknown option", select(["mayor", "zoe"])),
  misfit("option of another contest", select(["mayor", "cleo"])),
  misfit("empty option", select(["mayor", ""])),
  misfit("option twice", select(["council", "cleo", "cleo"])),
  misfit("contest twice", select(["mayor", "ann"], ["mayor", "ann"])),
  misfit("contest that is not on this region's ballot", select(["bridge", "yes"])),
  misfit("too many selections", select(["mayor", "ann", "bob"])),
  misfit("a thousand selections", select(["council", ...Array.from({ length: 1_000 }, () => "cleo")])),
  misfit("unknown region", { regionId: "north/ward-9" }),
  misfit("region that is not a leaf", { regionId: "north" }),
  misfit("no region, which is the root", { regionId: "" }),
  misfit("region with a slash at its end", { regionId: "north/ward-1/" }),
];
