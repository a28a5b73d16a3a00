/** Questions without an answer, and changes that nobody can make: each is asked over gRPC and over Connect JSON. */
import type { DescMethod, JsonValue } from "@bufbuild/protobuf";
import { goodVote, sealed, town, unopened } from "#bench/bad-input-elections.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { VoteService } from "#proto/generated/urna/v1/vote_service_pb.js";
import type { RejectionReason } from "#proto/rejections.ts";

export type BadQuestion = {
  readonly title: string;
  readonly method: DescMethod;
  readonly request: JsonValue;
  readonly reason: RejectionReason;
};

/** Somebody who has voted in the town. */
export const knownVoter = "known-voter";

const key = (voter: string) => Buffer.from(goodVote(voter).idempotencyKey).toString("base64");
const { getReceipt } = VoteService.method;
const { getTally, watchTally, getTallyTable, recount } = TallyService.method;
const { openElection, closeElection, getElection } = ElectionService.method;

const receiptOf = (title: string, reason: RejectionReason, change: Record<string, JsonValue>): BadQuestion => ({
  title: `the receipt of ${title}`,
  method: getReceipt,
  request: { electionId: town, voterId: knownVoter, idempotencyKey: key(knownVoter), ...change },
  reason,
});

const nowhere = (method: DescMethod): BadQuestion => ({
  title: `${method.name} of an unknown election`,
  method,
  request: { electionId: "nowhere" },
  reason: "UNKNOWN_ELECTION",
});

export const badQuestions: readonly BadQuestion[] = [
  receiptOf("a vote with another key", "NOT_FOUND", { idempotencyKey: key("another-voter") }),
  receiptOf("nobody's vote", "NOT_FOUND", { voterId: "nobody" }),
  receiptOf("a vote without a key", "INVALID_REQUEST", { idempotencyKey: "" }),
  receiptOf("a vote with a key of 15 bytes", "INVALID_REQUEST", { idempotencyKey: "A".repeat(20) }),
  receiptOf("a voter that nobody can be", "INVALID_BALLOT", { voterId: "v 1" }),
  receiptOf("a vote in an unknown election", "UNKNOWN_ELECTION", { electionId: "nowhere" }),
  ...[getTally, watchTally, getTallyTable, recount, getElection, openElection, closeElection].map(nowhere),
  ...[getTally, watchTally].map((method) => ({
    title: `${method.name} of an unknown region`,
    method,
    request: { electionId: town, regionId: "north/ward-9" },
    reason: "NOT_FOUND" as const,
  })),
  {
    title: "Recount of a sealed election before its close",
    method: recount,
    request: { electionId: sealed },
    reason: "RESULTS_SEALED",
  },
];

/** Changes that need the admin token. */
export const changes: readonly Omit<BadQuestion, "reason">[] = [
  {
    title: "CreateElection",
    method: ElectionService.method.createElection,
    request: { definition: { electionId: "coup" } },
  },
  { title: "OpenElection", method: openElection, request: { electionId: unopened } },
  { title: "CloseElection", method: closeElection, request: { electionId: town } },
];

/** What callers send who are not the admin, whose token is given. */
export const strangers: readonly { readonly title: string; readonly authorization: (token: string) => string }[] = [
  { title: "a wrong token", authorization: () => "Bearer wrong" },
  { title: "an empty token", authorization: () => "Bearer " },
  { title: "all but the last character of the token", authorization: (token) => `Bearer ${token.slice(0, -1)}` },
  { title: "the token under another scheme", authorization: (token) => `Basic ${token}` },
  { title: "the token and more", authorization: (token) => `Bearer ${token}${token}` },
];
