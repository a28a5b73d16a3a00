import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ballotCommitment,
  encodeLeafEntry,
  type LeafEntry,
  LeafEntryWriter,
  parseLeafEntry,
  type VoteColumns,
} from "./leaf-entry.ts";
import { LedgerFormatError } from "./ledger-format-error.ts";
import { leafHash } from "./merkle-hash.ts";

const good: LeafEntry = {
  electionId: "town-2026",
  definitionHash: Buffer.alloc(32, 0xdd),
  nullifier: Buffer.alloc(16, 0x11),
  keyHash: Buffer.alloc(16, 0x22),
  commitment: Buffer.alloc(32, 0xcc),
};

const bytes = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array));
const electionIds = fc.stringMatching(/^[a-z0-9-]{1,64}$/);
const votes = fc.record({
  nullifier: bytes(16),
  keyHash: bytes(16),
  nonce: bytes(16),
  ballot: fc.uint8Array({ maxLength: 12 }).map((array) => Buffer.from(array)),
  region: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});
type Vote = { nullifier: Buffer; keyHash: Buffer; nonce: Buffer; ballot: Buffer; region: number };

function columnsOf(list: readonly Vote[]): VoteColumns {
  const ballotStarts = new Uint32Array(list.length + 1);
  for (const [i, { ballot }] of list.entries()) ballotStarts[i + 1] = (ballotStarts[i] ?? 0) + ballot.length;
  return {
    nullifiers: Buffer.concat(list.map(({ nullifier }) => nullifier)),
    keyHashes: Buffer.concat(list.map(({ keyHash }) => keyHash)),
    ballots: Buffer.concat(list.map(({ ballot }) => ballot)),
    ballotStarts,
    regions: list.map(({ region }) => region),
  };
}

test("a known entry stays what it is", () => {
  const entry = `0109${Buffer.from("town-2026").toString("hex")}${"dd".repeat(32)}${"11".repeat(16)}${"22".repeat(16)}${"cc".repeat(32)}`;
  expect(encodeLeafEntry(good).toString("hex")).toBe(entry);
});

test("a commitment is SHA-256 over nonce, ballot and region in big-endian order", () => {
  const opening = `${"ab".repeat(16)}00010007000000ff`;
  const commitment = createHash("sha256").update(Buffer.from(opening, "hex")).digest();
  expect(ballotCommitment(Buffer.alloc(16, 0xab), Buffer.from("00010007", "hex"), 255)).toEqual(commitment);
});

test("an entry that is encoded is parsed as it was", () => {
  fc.assert(
    fc.property(electionIds, bytes(32), votes, bytes(32), (electionId, definitionHash, vote, commitment) => {
      const entry = { electionId, definitionHash, nullifier: vote.nullifier, keyHash: vote.keyHash, commitment };
      expect(parseLeafEntry(encodeLeafEntry(entry))).toEqual(entry);
    }),
  );
});

test("the writer hashes votes one after the other as they are encoded one by one", () => {
  fc.assert(
    fc.property(electionIds, bytes(32), fc.array(votes, { minLength: 1 }), (electionId, definitionHash, list) => {
      const writer = new LeafEntryWriter(electionId, definitionHash);
      const nonces = Buffer.concat(list.map(({ nonce }) => nonce));
      const target = Buffer.alloc(list.length * 32);
      const columns = columnsOf(list);
      const expected = list.map(({ nullifier, keyHash, nonce, ballot, region }, i) => {
        writer.leafHash(columns, i, nonces, i * 16, target, i * 32);
        const commitment = ballotCommitment(nonce, ballot, region);
        return leafHash(encodeLeafEntry({ electionId, definitionHash, nullifier, keyHash, commitment }));
      });
      expect(target).toEqual(Buffer.concat(expected));
    }),
  );
});

const badParts: [name: string, change: Partial<LeafEntry>, message: string][] = [
  ["no election id", { electionId: "" }, "election id"],
  ["an election id that is too long", { electionId: "x".repeat(65) }, "election id"],
  ["an election id with a space", { electionId: "a b" }, "election id"],
  ["an election id beyond ASCII", { electionId: "für" }, "election id"],
  ["a short definition hash", { definitionHash: Buffer.alloc(31) }, "definition hash has 31 bytes"],
  ["a short nullifier", { nullifier: Buffer.alloc(15) }, "nullifier has 15 bytes"],
  ["a long key hash", { keyHash: Buffer.alloc(17) }, "key hash has 17 bytes"],
  ["a short commitment", { commitment: Buffer.alloc(0) }, "commitment has 0 bytes"],
];

describe("no entry is made of", () => {
  test.each(badParts)("%s", (_, change, message) => {
    expect(() => encodeLeafEntry({ ...good, ...change })).toThrow(LedgerFormatError);
    expect(() => encodeLeafEntry({ ...good, ...change })).toThrow(message);
  });
});

const entry = encodeLeafEntry(good);
const badEntries: [name: string, bytes: Buffer, message: string][] = [
  ["nothing", Buffer.alloc(0), "empty"],
  ["another version", Buffer.concat([Buffer.of(2), entry.subarray(1)]), "version 2"],
  ["a version alone", Buffer.of(1), "1 bytes"],
  ["an entry that was cut off", entry.subarray(0, -1), `${entry.length - 1} bytes`],
  ["an entry with a byte too many", Buffer.concat([entry, Buffer.of(0)]), `${entry.length + 1} bytes`],
  ["an entry with an empty election id", Buffer.concat([Buffer.of(1, 0), entry.subarray(11)]), "election id"],
  [
    "an election id of control characters",
    Buffer.concat([Buffer.of(1, 9), Buffer.alloc(9), entry.subarray(11)]),
    "ASCII",
  ],
  [
    "an election id that is too long",
    Buffer.concat([Buffer.of(1, 65), Buffer.alloc(65, "x"), entry.subarray(11)]),
    "ASCII",
  ],
];

describe("no entry is read from", () => {
  test.each(badEntries)("%s", (_, bad, message) => {
    expect(() => parseLeafEntry(bad)).toThrow(LedgerFormatError);
    expect(() => parseLeafEntry(bad)).toThrow(message);
  });
});

const writer = new LeafEntryWriter(good.electionId, good.definitionHash);
const [nonce, target] = [Buffer.alloc(16), Buffer.alloc(32)];
const columns = columnsOf([{ nullifier: nonce, keyHash: nonce, nonce, ballot: Buffer.alloc(4), region: 1 }]);
const badVotes: [name: string, hash: () => void][] = [
  ["a nonce that ends too early", () => writer.leafHash(columns, 0, nonce, 1, target, 0)],
  ["a target without room", () => writer.leafHash(columns, 0, nonce, 0, target, 1)],
  ["a region that is negative", () => writer.leafHash({ ...columns, regions: [-1] }, 0, nonce, 0, target, 0)],
  ["a region that is not whole", () => writer.leafHash({ ...columns, regions: [0.5] }, 0, nonce, 0, target, 0)],
  [
    "a ballot beyond all ballots",
    () => {
      const long = { ballots: Buffer.alloc(40_000), ballotStarts: [0, 40_000] };
      writer.leafHash({ ...columns, ...long }, 0, nonce, 0, target, 0);
    },
  ],
  ["a vote that the columns do not have", () => writer.leafHash(columns, 1, nonce, 0, target, 0)],
  ["a vote before the columns", () => writer.leafHash(columns, -1, nonce, 0, target, 0)],
  ["a column that lacks regions", () => writer.leafHash({ ...columns, regions: [] }, 0, nonce, 0, target, 0)],
  [
    "a column that lacks key hashes",
    () => writer.leafHash({ ...columns, keyHashes: target.subarray(17) }, 0, nonce, 0, target, 0),
  ],
  [
    "a column that lacks ballots",
    () => writer.leafHash({ ...columns, ballots: target.subarray(29) }, 0, nonce, 0, target, 0),
  ],
];

describe("the writer hashes nothing of", () => {
  test.each(badVotes)("%s", (_, hash) => {
    expect(hash).toThrow(RangeError);
  });
});
