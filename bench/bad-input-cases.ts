/** Bad input, as tables: each line becomes one titled test a way of casting. */
import { gzipSync } from "node:zlib";
import type { VoteInit } from "#bench/bad-input-elections.ts";
import { closed, type goodVote, sealed, timed, town, unopened } from "#bench/bad-input-elections.ts";
import { framed } from "#bench/raw-grpc.ts";
import type { RejectionReason } from "#proto/rejections.ts";

export type BadVote = {
  readonly title: string;
  readonly reason: RejectionReason;
  /** Whose good vote is spoilt, and must be taken afterwards. */
  readonly electionId: string;
  readonly spoil: (good: ReturnType<typeof goodVote>) => VoteInit;
};

const voter = (value: string): Partial<VoteInit> => ({ voter: { case: "voterId", value } });
const select = (...selections: [contestId: string, ...optionIds: string[]][]): Partial<VoteInit> => ({
  selections: selections.map(([contestId, ...optionIds]) => ({ contestId, optionIds })),
});

function misfit(title: string, patch: Partial<VoteInit>, electionId = town): BadVote {
  return { title, reason: "INVALID_BALLOT", electionId, spoil: (good) => ({ ...good, ...patch }) };
}

function elsewhere(title: string, electionId: string, reason: RejectionReason): BadVote {
  return { title, reason, electionId: town, spoil: (good) => ({ ...good, electionId }) };
}

/** Votes that can be read and must not count. */
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

const mebibyte = 1_024 * 1_024;

export type BadBody = {
  readonly title: string;
  /** Makes a bad request of a good one. */
  readonly spoil: (good: Buffer) => Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Field 1 of that many bytes of a field that a request does not know. */
const padded = (good: Buffer, bytes: number) => {
  const length = bytes - good.length;
  return Buffer.concat([good, Buffer.from([0x7a, ...varint(length)]), Buffer.alloc(length)]);
};

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** Requests that gRPC cannot read: INVALID_REQUEST, and nothing of them is stored. */
export const badFrames: readonly BadBody[] = [
  { title: "truncated protobuf", spoil: (good) => framed(good.subarray(0, -3)) },
  { title: "bytes that are no protobuf", spoil: () => framed(Buffer.alloc(64, 0xff)) },
  { title: "text that is no UTF-8", spoil: () => framed(Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe])) },
  { title: "a message of 5 MiB", spoil: (good) => framed(padded(good, 5 * mebibyte)) },
  { title: "a message of 40 MiB", spoil: (good) => framed(padded(good, 40 * mebibyte)) },
  { title: "a message that claims to be 4 GB", spoil: (good) => framed(good, { declaredBytes: 0xffff_ffff }) },
  {
    title: "a message that decompresses to 64 MB",
    spoil: (good) => framed(gzipSync(padded(good, 64_000_000)), { compressed: true }),
    headers: { "grpc-encoding": "gzip" },
  },
  {
    title: "an unknown compression",
    spoil: (good) => framed(good, { compressed: true }),
    headers: { "grpc-encoding": "brotli" },
  },
  { title: "a timeout that is no time", spoil: (good) => framed(good), headers: { "grpc-timeout": "soon" } },
];

const text = (change: (json: string) => string) => (good: Buffer) => Buffer.from(change(good.toString("utf8")));

/** Requests in JSON that Connect cannot read: INVALID_REQUEST, and nothing of them is stored. */
export const badJson: readonly BadBody[] = [
  { title: "truncated JSON", spoil: text((json) => json.slice(0, -1)) },
  { title: "JSON with more after its end", spoil: text((json) => `${json}}`) },
  { title: "an unknown field in the request", spoil: text((json) => json.replace("{", '{"colour":"red",')) },
  {
    title: "an unknown field in the vote",
    spoil: text((json) => json.replace('"regionId":', '"weight":2,"regionId":')),
  },
  {
    title: "an unknown field in a selection",
    spoil: text((json) => json.replace('"contestId":', '"rank":1,"contestId":')),
  },
  { title: "a number where text belongs", spoil: text((json) => json.replace(/"electionId":"\w+"/, '"electionId":1')) },
  {
    title: "both a voter and a ballot",
    spoil: text((json) => json.replace('"voterId":', '"ballotId":"b","voterId":')),
  },
  {
    title: "an idempotency key that is no base64",
    spoil: text((json) => json.replace(/"idempotencyKey":"[^"]*"/, '"idempotencyKey":"*"')),
  },
  { title: "an array", spoil: text((json) => `[${json}]`) },
  { title: "no body", spoil: text(() => "") },
  { title: "ten thousand brackets", spoil: text(() => '{"vote":'.repeat(10_000)) },
  { title: "a body of 5 MiB", spoil: text((json) => json + " ".repeat(5 * mebibyte)) },
  { title: "a body of 40 MiB", spoil: text((json) => json + " ".repeat(40 * mebibyte)) },
  {
    title: "truncated protobuf",
    spoil: () => Buffer.from([0x0a, 0x10, 0x01]),
    headers: { "content-type": "application/proto" },
  },
  { title: "a wrong content type", spoil: text((json) => json), headers: { "content-type": "text/plain" } },
  {
    title: "a form",
    spoil: text((json) => `vote=${encodeURIComponent(json)}`),
    headers: { "content-type": "application/x-www-form-urlencoded" },
  },
  { title: "a timeout that is no time", spoil: text((json) => json), headers: { "connect-timeout-ms": "soon" } },
];
