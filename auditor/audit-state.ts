/**
 * What an auditor remembers from one run to the next, in a file of its own: the keys that it trusts, and what was signed with
 * them. It is what the database is measured against, so it belongs where nobody can write who can write the database.
 */
import { open, readFile, rename } from "node:fs/promises";

/** The file is there and is none, or cannot be read. The message says which, and what to do. */
export class AuditStateError extends Error {}

export type ShardMemory = {
  /** As in C2SP signed-note. The name in it is that of the log's first generation. */
  readonly verifierKey: string;
  /** Signed notes: checkpoints, in no order. */
  readonly checkpoints: readonly string[];
  /** Signed notes: results of elections. */
  readonly results: readonly string[];
};

export type AuditState = {
  readonly shards: ReadonlyMap<number, ShardMemory>;
  /** By election: the hash of the definition that its leaves carry, in hex. */
  readonly definitions: ReadonlyMap<string, string>;
};

const schemaVersion = 1;

/** Checkpoints of a shard that are remembered. Each contains all before it: the older ones tell where a log was rewritten. */
const checkpointsMax = 1_000;

export const emptyAuditState: AuditState = { shards: new Map(), definitions: new Map() };

/** The empty state where there is no file. Throws AuditStateError for a file that is not what `writeAuditState` writes. */
export async function readAuditState(file: string): Promise<AuditState> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return emptyAuditState;
    throw new AuditStateError(`the state file ${file} cannot be read: ${message}`);
  }
  const state = parsed(text);
  if (state !== undefined) return state;
  throw new AuditStateError(
    `${file} is no state file of an audit: give --state another file, or set this one aside and trust anew what is served now`,
  );
}

/** Replaces the file as a whole, flushed before it takes its name. */
export async function writeAuditState(file: string, { shards, definitions }: AuditState): Promise<void> {
  const document = {
    schema_version: schemaVersion,
    shards: [...shards]
      .sort(([a], [b]) => a - b)
      .map(([shardId, { verifierKey, checkpoints, results }]) => ({
        shard_id: shardId,
        verifier_key: verifierKey,
        checkpoints: thinned(checkpoints),
        results,
      })),
    definitions: Object.fromEntries(definitions),
  };
  const draft = `${file}.part`;
  const handle = await open(draft, "w", 0o600).catch((cause: Error) => {
    throw new AuditStateError(`the state file ${file} cannot be written: ${cause.message}`);
  });
  try {
    await handle.writeFile(`${JSON.stringify(document, undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}

/** Of too many, every second one of the older half is let go. Two of one size stay: they are the proof of a forgery. */
function thinned(notes: readonly string[]): readonly string[] {
  if (notes.length <= checkpointsMax) return notes;
  const bySize = Map.groupBy(notes, sizeOf);
  const sizes = [...bySize.keys()].sort((a, b) => a - b);
  const isKept = (size: number, i: number) => i >= sizes.length / 2 || i % 2 === 0 || bySize.get(size)?.length !== 1;
  return sizes.filter(isKept).flatMap((size) => bySize.get(size) ?? []);
}

/** The second line of a checkpoint. */
function sizeOf(note: string): number {
  return Number(note.split("\n", 2)[1]);
}

function parsed(text: string): AuditState | undefined {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(root) || root["schema_version"] !== schemaVersion) return undefined;
  const { shards, definitions } = root;
  if (!Array.isArray(shards) || !isTexts(definitions)) return undefined;
  const memories = new Map<number, ShardMemory>();
  for (const entry of shards) {
    const memory = shardMemory(entry);
    if (memory === undefined) return undefined;
    memories.set(...memory);
  }
  return { shards: memories, definitions: new Map(Object.entries(definitions)) };
}

function shardMemory(entry: unknown): [number, ShardMemory] | undefined {
  if (!isObject(entry)) return undefined;
  const { shard_id: shardId, verifier_key: verifierKey, checkpoints, results } = entry;
  if (!Number.isInteger(shardId) || typeof verifierKey !== "string") return undefined;
  if (!isTextList(checkpoints) || !isTextList(results)) return undefined;
  return [shardId as number, { verifierKey, checkpoints, results }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function isTexts(value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string");
}
