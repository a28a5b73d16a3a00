/** Requests that cannot be read: INVALID_REQUEST each, and nothing of them is stored. */
import { gzipSync } from "node:zlib";
import { framed } from "#bench/raw-grpc.ts";

export type BadBody<Good, Bad> = {
  readonly title: string;
  /** Makes a bad request of a good one. */
  readonly spoil: (good: Good) => Bad;
  readonly headers?: Readonly<Record<string, string>>;
  /** Megabytes: once is enough. */
  readonly isBig?: boolean;
};

const mebibyte = 1_024 * 1_024;
const gzipped = { "grpc-encoding": "gzip" };

/** With a field that a request does not know, so that it has that many bytes. */
function padded(good: Uint8Array, bytes: number): Buffer<ArrayBuffer> {
  const length = bytes - good.length;
  return Buffer.concat([good, Buffer.from([0x7a, ...varint(length)]), Buffer.alloc(length)]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** Of gRPC, from a request's protobuf. */
export const badFrames: readonly BadBody<Uint8Array, Uint8Array>[] = [
  { title: "truncated protobuf", spoil: (good) => framed(good.subarray(0, -3)) },
  { title: "bytes that are no protobuf", spoil: () => framed(Buffer.alloc(64, 0xff)) },
  { title: "text that is no UTF-8", spoil: () => framed(Buffer.from([0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe])) },
  { title: "a message of 5 MiB", spoil: (good) => framed(padded(good, 5 * mebibyte)), isBig: true },
  { title: "a message of 40 MiB", spoil: (good) => framed(padded(good, 40 * mebibyte)), isBig: true },
  { title: "a message that claims to be 4 GB", spoil: (good) => framed(good, { declaredBytes: 0xffff_ffff }) },
  {
    title: "a message that decompresses to 16 MiB",
    spoil: (good) => framed(gzipSync(padded(good, 16 * mebibyte)), { compressed: true }),
    headers: gzipped,
    isBig: true,
  },
  {
    title: "a message that is not compressed as it says",
    spoil: (good) => framed(good, { compressed: true }),
    headers: gzipped,
  },
  {
    title: "an unknown compression",
    spoil: (good) => framed(good, { compressed: true }),
    headers: { "grpc-encoding": "brotli" },
  },
  { title: "a timeout that is no time", spoil: (good) => framed(good), headers: { "grpc-timeout": "soon" } },
];

/** Of Connect, from a request's JSON. */
export const badTexts: readonly BadBody<string, string | Uint8Array<ArrayBuffer>>[] = [
  { title: "truncated JSON", spoil: (good) => good.slice(0, -1) },
  { title: "JSON with more after its end", spoil: (good) => `${good}}` },
  { title: "an unknown field in the request", spoil: (good) => good.replace("{", '{"colour":"red",') },
  { title: "an unknown field in the vote", spoil: (good) => good.replace('"regionId":', '"weight":2,"regionId":') },
  { title: "an unknown field in a selection", spoil: (good) => good.replace('"contestId":', '"rank":1,"contestId":') },
  { title: "a number where text belongs", spoil: (good) => good.replace(/"electionId":"\w+"/, '"electionId":1') },
  { title: "both a voter and a ballot", spoil: (good) => good.replace('"voterId":', '"ballotId":"b","voterId":') },
  {
    title: "an idempotency key that is no base64",
    spoil: (good) => good.replace(/"idempotencyKey":"[^"]*"/, '"idempotencyKey":"*"'),
  },
  { title: "an array", spoil: (good) => `[${good}]` },
  { title: "no body", spoil: () => "" },
  { title: "ten thousand open brackets", spoil: () => '{"vote":'.repeat(10_000) },
  { title: "a body of 5 MiB", spoil: (good) => good + " ".repeat(5 * mebibyte), isBig: true },
  { title: "a body of 40 MiB", spoil: (good) => good + " ".repeat(40 * mebibyte), isBig: true },
  {
    title: "a body that decompresses to 16 MiB",
    spoil: (good) => gzipSync(good + " ".repeat(16 * mebibyte)),
    headers: { "content-encoding": "gzip" },
    isBig: true,
  },
  {
    title: "a body that is not compressed as it says",
    spoil: (good) => good,
    headers: { "content-encoding": "gzip" },
  },
  { title: "an unknown compression", spoil: (good) => good, headers: { "content-encoding": "br" } },
  {
    title: "truncated protobuf",
    spoil: () => Buffer.from([0x0a, 0x10, 0x01]),
    headers: { "content-type": "application/proto" },
  },
  { title: "a wrong content type", spoil: (good) => good, headers: { "content-type": "text/plain" } },
  {
    title: "a form",
    spoil: (good) => `vote=${encodeURIComponent(good)}`,
    headers: { "content-type": "application/x-www-form-urlencoded" },
  },
  { title: "a timeout that is no time", spoil: (good) => good, headers: { "connect-timeout-ms": "soon" } },
];
