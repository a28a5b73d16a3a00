/** For tests: what a router may say that is not so, and how it is found out. */
import { randomBytes } from "node:crypto";
import { definitionHash } from "#proto/election-shape.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { formatVerifierKey, generateLedgerKey, publicKeyOf } from "#proto/ledger/signed-note.ts";
import { formatReceiptId } from "#proto/receipt-id.ts";
import type { Bends } from "./scripted-ledger.ts";
import { otherVotes, ScriptedLedger } from "./scripted-ledger.ts";

export type Lie = { readonly what: string; readonly says: string; readonly bends: (ledger: ScriptedLedger) => Bends };

/** The log of another deployment. */
export const stranger = new ScriptedLedger("elsewhere");
const anotherKey = publicKeyOf(generateLedgerKey());
const idOf = (shardId: number, leafIndex: bigint) => formatReceiptId({ shardId, leafIndex });

/** Answers the election with its definition changed, and with its hash as it was. */
function definedAs(change: Partial<ElectionDefinition>): Bends {
  return {
    election: ({ definition, ...election }) => definition && { ...election, definition: { ...definition, ...change } },
  };
}

const namesKey = (verifierKey: string): Bends => ({ verifierKeys: () => [{ shardId: 0, verifierKey }] });

const receiptLies: readonly Lie[] = [
  { what: "no receipt", says: "without a receipt", bends: () => ({ receipt: () => undefined }) },
  {
    what: "the receipt of another election",
    says: 'the receipt is of election "city"',
    bends: () => ({ receipt: (receipt) => ({ ...receipt, electionId: "city" }) }),
  },
  {
    what: "a receipt of no log",
    says: 'names "urna", which is no log\'s name',
    bends: () => ({ receipt: (receipt) => ({ ...receipt, logOrigin: "urna" }) }),
  },
  {
    what: "the receipt of another deployment's log",
    says: "the vote is in the log elsewhere/shard/0, but the verifier key is that of urna/shard/0",
    bends: () => ({ receipt: (receipt) => ({ ...receipt, logOrigin: stranger.origin }) }),
  },
  {
    what: "a receipt of a shard without a key",
    says: "names no verifier key of shard 1",
    bends: () => ({
      receipt: (receipt) => ({ ...receipt, logOrigin: "urna/shard/1", receiptId: idOf(1, 6n) }),
    }),
  },
  {
    what: "a receipt whose id is of another leaf",
    says: `the receipt's id is ${idOf(0, 6n)}; that of its log and leaf would be ${idOf(0, 5n)}`,
    bends: () => ({ receipt: (receipt) => ({ ...receipt, leafIndex: 5n }) }),
  },
  {
    what: "the receipt of another voter",
    says: "the leaf carries the hash of another idempotency key",
    bends: () => ({ receipt: (receipt) => ({ ...receipt, leafIndex: 3n, receiptId: idOf(0, 3n) }) }),
  },
  {
    what: "a leaf beyond every log",
    says: "the receipt names leaf 18446744073709551615, beyond every log",
    bends: () => ({ receipt: (receipt) => ({ ...receipt, leafIndex: 2n ** 64n - 1n }) }),
  },
];

const definitionLies: readonly Lie[] = [
  { what: "no election", says: "without the election's definition", bends: () => ({ election: () => undefined }) },
  {
    what: "the definition of another election",
    says: 'the definition of election "city"',
    bends: () => definedAs({ electionId: "city" }),
  },
  {
    what: "a definition that was changed",
    says: "does not have the hash that it names",
    bends: () => definedAs({ title: "Renamed" }),
  },
  {
    what: "a definition that was changed, and its hash with it",
    says: "the leaf is a vote of another definition",
    bends: ({ definition }) => {
      const changed = { ...definition, title: "Renamed" };
      const hash = definitionHash(changed);
      return { election: (election) => ({ ...election, definition: changed, definitionHash: hash }) };
    },
  },
];

const keyLies: readonly Lie[] = [
  { what: "no keys", says: "no verifier key", bends: () => ({ verifierKeys: () => [] }) },
  {
    what: "two keys of one shard",
    says: "two keys of shard 0",
    bends: () => ({ verifierKeys: (keys) => [...keys, ...keys] }),
  },
  {
    what: "a malformed key",
    says: "the verifier key is not of the form",
    bends: () => namesKey("urna/shard/0"),
  },
  {
    what: "the key of another shard",
    says: "the key of urna/shard/1 is that of shard 0",
    bends: () => namesKey(formatVerifierKey("urna/shard/1", anotherKey)),
  },
  {
    what: "the key of another deployment",
    says: "but the verifier key is that of elsewhere/shard/0",
    bends: () => namesKey(stranger.verifierKey),
  },
  {
    what: "a key that the log was not signed with",
    says: "by another key",
    bends: () => namesKey(formatVerifierKey("urna/shard/0", anotherKey)),
  },
];

const checkpointLies: readonly Lie[] = [
  { what: "an empty checkpoint", says: "the note is empty", bends: () => ({ checkpoint: () => Buffer.of() }) },
  {
    what: "half a checkpoint",
    says: "cut off",
    bends: () => ({ checkpoint: (note) => note.subarray(0, note.length - 9) }),
  },
  {
    what: "a checkpoint with CRLF",
    says: "carriage return",
    bends: () => ({ checkpoint: (note) => Buffer.from(note.toString().replaceAll("\n", "\r\n")) }),
  },
  {
    what: "a checkpoint with another size than was signed",
    says: "does not verify",
    bends: () => ({ checkpoint: (note) => Buffer.from(note.toString().replace("\n7\n", "\n8\n")) }),
  },
  {
    what: "a checkpoint of another deployment",
    says: "no signature by urna/shard/0",
    bends: () => ({ checkpoint: () => stranger.signedCheckpoint(otherVotes) }),
  },
  {
    what: "the checkpoint of another log, signed with the same key",
    says: "no signature by urna/shard/0",
    bends: (ledger) => ({ checkpoint: () => ledger.signedCheckpoint(otherVotes, "urna/shard/0/2") }),
  },
];

const proofLies: readonly Lie[] = [
  {
    what: "a proof that lacks a hash",
    says: "does not lead from the entry",
    bends: () => ({ inclusion: ({ hashes, entry }) => ({ hashes: hashes.slice(1), entry }) }),
  },
  {
    what: "a proof with a hash too many",
    says: "does not lead from the entry",
    bends: () => ({ inclusion: ({ hashes, entry }) => ({ hashes: [...hashes, randomBytes(32)], entry }) }),
  },
  {
    what: "a proof with a short hash",
    says: "31 bytes",
    bends: () => ({ inclusion: ({ entry }) => ({ hashes: [randomBytes(31)], entry }) }),
  },
  {
    what: "a proof without end",
    says: "no tree needs more than",
    bends: () => ({
      inclusion: ({ entry }) => ({ hashes: Array.from({ length: 54 }, () => randomBytes(32)), entry }),
    }),
  },
  {
    what: "no entry",
    says: "entry is empty",
    bends: () => ({ inclusion: ({ hashes }) => ({ hashes, entry: Buffer.of() }) }),
  },
  {
    what: "an entry that is not in the log",
    says: "does not lead from the entry",
    bends: (ledger) => ({ inclusion: ({ hashes }) => ({ hashes, entry: ledger.entry(randomBytes(16)) }) }),
  },
];

export const routerLies = [...receiptLies, ...definitionLies, ...keyLies, ...checkpointLies, ...proofLies];
