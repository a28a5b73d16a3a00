/**
 * What the tally keeps of one shard's log: nothing in it came from the shard's database alone, for all of it is signed. As
 * text it holds the notes themselves, so that whoever reads the file can verify it with any tool.
 */
import { demandFormat } from "#proto/ledger/ledger-format-error.ts";
import type { ShardLedger, SignedCheckpoint } from "./signed-checkpoint.ts";
import { areTwins, publicKeyIn, readSignedCheckpoint } from "./signed-checkpoint.ts";

/** Nothing in it changes; a later one takes its place. */
export type WitnessRecord = {
  /** The first that was seen: what is signed with another key is refused from then on. */
  readonly verifierKey: string;
  /** The largest that was ever seen, each proved to continue the one before it (I8). */
  readonly highest: SignedCheckpoint;
  /** Two of one size with two roots. Whoever holds both can prove that the shard signed two logs. */
  readonly twoRoots: readonly [SignedCheckpoint, SignedCheckpoint] | undefined;
  /** Where a generation ended because its loss was accepted; oldest first. */
  readonly losses: readonly AcceptedLoss[];
};

export type AcceptedLoss = {
  /** The largest that was seen of the generation that ended. */
  readonly last: SignedCheckpoint;
  /** The first that was seen of the one after it. */
  readonly next: SignedCheckpoint;
};

/** Accepted losses that are kept; each is an operator's act. */
export const lossesMax = 8;

export type RecordText = {
  readonly shard_id: number;
  readonly verifier_key: string;
  readonly highest: string;
  readonly two_roots?: readonly string[];
  readonly losses?: readonly { readonly last: string; readonly next: string }[];
};

export function recordText(shardId: number, record: WitnessRecord): RecordText {
  const { verifierKey, highest, twoRoots, losses } = record;
  return {
    shard_id: shardId,
    verifier_key: verifierKey,
    highest: noteText(highest),
    ...(twoRoots === undefined ? {} : { two_roots: twoRoots.map(noteText) }),
    ...(losses.length === 0
      ? {}
      : { losses: losses.map(({ last, next }) => ({ last: noteText(last), next: noteText(next) })) }),
  };
}

/** Throws LedgerFormatError for anything that recordText does not make, and whatever fails to verify. */
export function parseRecord(value: unknown, deployment: string): { shardId: number; record: WitnessRecord } {
  const fields = fieldsOf(value);
  const shardId = fields["shard_id"];
  demandFormat(typeof shardId === "number", "an entry has no shard_id");
  const ledger: ShardLedger = { deployment, shardId };
  const verifierKey = textOf(fields["verifier_key"]);
  const publicKey = publicKeyIn(verifierKey, ledger);
  const read = (note: unknown) => readSignedCheckpoint(Buffer.from(textOf(note)), publicKey, ledger);
  const highest = read(fields["highest"]);
  const losses = listOf(fields["losses"]).map((loss) => readLoss(fieldsOf(loss), read));
  return { shardId, record: { verifierKey, highest, twoRoots: readTwins(listOf(fields["two_roots"]), read), losses } };
}

type ReadNote = (note: unknown) => SignedCheckpoint;

function readLoss(fields: Fields, read: ReadNote): AcceptedLoss {
  const loss = { last: read(fields["last"]), next: read(fields["next"]) };
  demandFormat(loss.last.generation < loss.next.generation, "a loss does not begin a later generation");
  return loss;
}

function readTwins(notes: readonly unknown[], read: ReadNote): WitnessRecord["twoRoots"] {
  if (notes.length === 0) return undefined;
  const [one, other] = notes.map(read);
  demandFormat(one !== undefined && other !== undefined && areTwins(one, other), "two_roots are not two of one size");
  return [one, other];
}

function noteText({ note }: SignedCheckpoint): string {
  return note.toString("utf8");
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  demandFormat(typeof value === "object" && value !== null, "an entry is not an object");
  return value as Fields;
}

function textOf(value: unknown): string {
  demandFormat(typeof value === "string", "an entry lacks a key or a note");
  return value;
}

function listOf(value: unknown): readonly unknown[] {
  demandFormat(value === undefined || Array.isArray(value), "an entry has something else where a list should be");
  return value ?? [];
}
