/**
 * The result of an election as one file: JSON with what every shard signed at its close, as text, and the totals over them.
 * There is exactly one spelling of a result, so a file that was touched is refused, whatever was touched.
 *
 *   { "schema_version": 1, "election_id": …, "definition_hash": hex,
 *     "totals": { "ballots": n, "contests": [{ "contest_id": …, "options": [{ "option_id": …, "votes": n }], "undervotes": n }] },
 *     "shards": [{ "shard_id": n, "signed_note": … }] }
 */
import { isUtf8 } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import type { ContestResult, ElectionResult } from "#proto/ledger/election-result.ts";
import { parseElectionResult } from "#proto/ledger/election-result.ts";
import type { NoteVerifier } from "#proto/ledger/signed-note.ts";
import { verifyNote } from "#proto/ledger/signed-note.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import { demandVerified, NotVerifiedError } from "./exit-code.ts";

export type ShardNote = { readonly shardId: number; readonly signedNote: string };

export type SignedResult = {
  readonly electionId: string;
  /** 32 bytes */
  readonly definitionHash: Buffer;
  /** Over all shards. */
  readonly ballots: number;
  readonly contests: readonly ContestResult[];
  /** By shard id. */
  readonly shards: readonly (ShardNote & { readonly result: ElectionResult })[];
};

const schemaVersion = 1;

/**
 * What the notes say together. Throws NotVerifiedError or LedgerFormatError unless each is signed by one of the keys, each
 * key has signed one, and all speak of one election of one deployment. That these are all shards is what the keys say.
 */
export function combineResults(notes: readonly ShardNote[], verifiers: readonly NoteVerifier[]): SignedResult {
  const shards = notes.map((note) => ({ ...note, result: readNote(note, verifiers) }));
  const [first] = shards;
  demandVerified(first !== undefined, "the result has no shards");
  for (const [index, { shardId, result }] of shards.entries()) {
    const next = shards[index + 1]?.shardId ?? Number.POSITIVE_INFINITY;
    demandVerified(next > shardId, "the shards of the result are not in order, each of them once");
    demandAgreement(shardId, result, first.result);
  }
  const signers = shards.map(({ result }) => result.checkpoint.origin);
  const absent = verifiers.find(({ name }) => !signers.includes(name));
  demandVerified(
    absent === undefined,
    `the result lacks what ${absent?.name} signed, whose key was given: a shard is missing`,
  );
  const { electionId, definitionHash } = first.result;
  const results = shards.map(({ result }) => result);
  return { electionId, definitionHash, shards, ...totalsOf(results) };
}

/** The one text of a result. */
export function formatResultDocument(result: SignedResult): string {
  const { electionId, definitionHash, shards } = result;
  const document = {
    schema_version: schemaVersion,
    election_id: electionId,
    definition_hash: definitionHash.toString("hex"),
    totals: totalsJson(result),
    shards: shards.map(({ shardId, signedNote }) => ({ shard_id: shardId, signed_note: signedNote })),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** As a result's JSON has them. */
export function totalsJson({ ballots, contests }: Pick<SignedResult, "ballots" | "contests">) {
  return {
    ballots,
    contests: contests.map(({ contestId, options, undervotes }) => ({
      contest_id: contestId,
      options: options.map(({ optionId, count }) => ({ option_id: optionId, votes: count })),
      undervotes,
    })),
  };
}

/** Throws NotVerifiedError or LedgerFormatError unless these bytes are the result that holders of these keys signed. */
export function verifyResultDocument(bytes: Uint8Array, verifiers: readonly NoteVerifier[]): SignedResult {
  demandVerified(isUtf8(bytes), "the result is not UTF-8");
  const text = Buffer.from(bytes).toString("utf8");
  const document = parseDocument(text);
  const result = combineResults(document.notes, verifiers);
  const { electionId } = result;
  demandVerified(
    document.electionId === electionId,
    `the document says election "${document.electionId}"; its shards signed results of "${electionId}"`,
  );
  demandVerified(
    isDeepStrictEqual(document.totals, totalsJson(result)),
    "the totals of the document are not the sums of what its shards signed",
  );
  demandVerified(
    text === formatResultDocument(result),
    "the document is not spelled as `urna election result` spells it: it was changed after it was written",
  );
  return result;
}

function readNote({ shardId, signedNote }: ShardNote, verifiers: readonly NoteVerifier[]): ElectionResult {
  const { text, unknown, verifiedBy } = verifyNote(Buffer.from(signedNote), verifiers);
  demandVerified(
    unknown.length === 0,
    `the result of shard ${shardId} has a signature by an unknown key, of ${unknown.join(", ")}`,
  );
  const result = parseElectionResult(text);
  const { origin } = result.checkpoint;
  const log = parseLogOrigin(origin);
  demandVerified(log?.shardId === shardId, `the document says that ${origin} is the log of shard ${shardId}`);
  demandVerified(verifiedBy.includes(origin), `the result of ${origin} is signed by ${verifiedBy.join(", ")}`);
  return result;
}

function demandAgreement(shardId: number, result: ElectionResult, first: ElectionResult): void {
  const { electionId, definitionHash, contests, checkpoint } = result;
  demandVerified(
    electionId === first.electionId,
    `shard ${shardId} signed a result of election "${electionId}", not of "${first.electionId}"`,
  );
  demandVerified(
    definitionHash.equals(first.definitionHash) && isDeepStrictEqual(idsOf(contests), idsOf(first.contests)),
    `shard ${shardId} signed a result of another definition of "${electionId}"`,
  );
  const deployment = parseLogOrigin(checkpoint.origin)?.deployment;
  demandVerified(
    deployment === parseLogOrigin(first.checkpoint.origin)?.deployment,
    `${checkpoint.origin} is a log of another deployment than ${first.checkpoint.origin}`,
  );
}

function idsOf(contests: readonly ContestResult[]): string[][] {
  return contests.map(({ contestId, options }) => [contestId, ...options.map(({ optionId }) => optionId)]);
}

function totalsOf(results: readonly ElectionResult[]): Pick<SignedResult, "ballots" | "contests"> {
  const [first] = results;
  const contests = (first?.contests ?? []).map(({ contestId, options }, contest) => ({
    contestId,
    options: options.map(({ optionId }, option) => ({
      optionId,
      count: sum(results.map(({ contests }) => contests[contest]?.options[option]?.count ?? 0)),
    })),
    undervotes: sum(results.map(({ contests }) => contests[contest]?.undervotes ?? 0)),
  }));
  return { ballots: sum(results.map(({ ballots }) => ballots)), contests };
}

function sum(counts: readonly number[]): number {
  const total = counts.reduce((before, count) => before + count, 0);
  demandVerified(Number.isSafeInteger(total), "the counts of the shards add up to more than can be counted exactly");
  return total;
}

type ParsedDocument = {
  readonly electionId: string;
  readonly totals: unknown;
  readonly notes: readonly ShardNote[];
};

function parseDocument(text: string): ParsedDocument {
  const document = objectOf(parseJson(text), "the document");
  const version = document["schema_version"];
  demandVerified(
    version === schemaVersion,
    `the document has schema_version ${JSON.stringify(version)}; this program knows ${schemaVersion}`,
  );
  const { election_id: electionId, totals, shards } = document;
  demandVerified(typeof electionId === "string", "election_id of the document is not a text");
  demandVerified(Array.isArray(shards), "shards of the document is not a list");
  return { electionId, totals, notes: shards.map(noteOf) };
}

function noteOf(value: unknown): ShardNote {
  const { shard_id: shardId, signed_note: signedNote } = objectOf(value, "an entry of shards");
  demandVerified(typeof shardId === "number", "shard_id of an entry of shards is not a number");
  demandVerified(typeof signedNote === "string", `signed_note of shard ${shardId} is not a text`);
  return { shardId, signedNote };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NotVerifiedError(`the document is not JSON; it may have been cut off (${(cause as Error).message})`);
  }
}

/** By own keys only, all of them from the document. */
function objectOf(value: unknown, what: string): Readonly<Record<string, unknown>> {
  demandVerified(typeof value === "object" && value !== null && !Array.isArray(value), `${what} is not an object`);
  return value as Record<string, unknown>;
}
