/**
 * What is known of the shard's ledger outside its database: the highest checkpoint in the node's own file, and the one that
 * the tally has seen. A log that is shorter than a checkpoint it has signed has lost votes; one with another root at that
 * size was rewritten. Both must stop the shard, loudly (I8).
 */
import type pg from "pg";
import type { Directory } from "#mesh/directory.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Logger } from "#mesh/log.ts";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { type Checkpoint, claimedOrigin, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { formatVerifierKey, parseVerifierKey, verifyNote } from "#proto/ledger/signed-note.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import { NotReadyError } from "./postgres-session.ts";
import type { ShardKey } from "./shard-key.ts";
import type { Head } from "./takeover.ts";
import { storedProofs } from "./tile-store.ts";
import type { WitnessFile } from "./witness-file.ts";

/** The database holds less, or another, ledger than was published. */
export class LedgerLossError extends NotReadyError {
  /** The newest generation that was published; 0 when none is known. */
  readonly generation: number;

  constructor(because: string, generation = 0) {
    super(because);
    this.name = "LedgerLossError";
    this.generation = generation;
  }
}

/** The tally is asked on the way to each takeover, which must not wait long for one that is away. */
const askLimitMs = 500;

export type WitnessParts = {
  readonly shardId: number;
  readonly directory: Directory;
  readonly identity: Identity | undefined;
  readonly key: ShardKey;
  readonly file: WitnessFile;
  readonly log: Logger;
};

export class Witness {
  readonly #parts: WitnessParts;

  constructor(parts: WitnessParts) {
    this.#parts = parts;
  }

  /**
   * Throws LedgerLossError when the ledger does not contain what was published of it, NotReadyError when nobody can tell.
   * Answers whether the tally could be asked: without it, what this node's file says is all that is known. `headNow` is asked after the tally: a writer
   * goes on meanwhile, and what the tally has seen of that is not missing.
   */
  async demandUnbroken(client: pg.Client, headNow: () => Head): Promise<boolean> {
    const { file } = this.#parts;
    const seen = await this.#askTally();
    const own = file.read();
    if (own === undefined && seen === undefined && headNow().treeSize > 0) throw new NotReadyError(nobodyKnows);
    const notes = [
      { note: own, source: file.path },
      { note: seen?.length === 0 ? undefined : seen, source: "the tally" },
    ];
    const published = notes.flatMap(({ note, source }) => (note === undefined ? [] : [this.#read(note, source)]));
    const newest = Math.max(0, ...published.map(({ generation }) => generation));
    for (const each of published) await demandContains(client, headNow(), each, newest);
    return seen !== undefined;
  }

  /**
   * Keeps what the shard's other nodes have published, or keep themselves, where it is newer than what is in the file: a spare
   * must know of it when it takes over, also of what a writer published in its last moment. Never throws.
   */
  async learnFromPeers(mayKeep: () => boolean): Promise<void> {
    const { directory, identity, shardId, file, log } = this.#parts;
    const shard = directory.current.map.shards.find((entry) => entry.shardId === shardId);
    const notes = await Promise.all((shard?.nodes ?? []).map((node) => askPeer(node, identity)));
    try {
      for (const note of notes) {
        if (note !== undefined && mayKeep() && this.#isNewer(note)) await file.keep(note);
      }
    } catch (error) {
      log.error({ err: error }, "a checkpoint of another node could not be kept in a file");
    }
  }

  /** Than the one in the file. What does not verify is never newer, and never replaced: it must be looked at. */
  #isNewer(note: Uint8Array): boolean {
    const offered = this.#read(note, "another node");
    if ("unverified" in offered) return false;
    const own = this.#parts.file.read();
    if (own === undefined) return true;
    const kept = this.#read(own, this.#parts.file.path);
    if ("unverified" in kept) return false;
    if (offered.generation !== kept.generation) return offered.generation > kept.generation;
    return offered.checkpoint.size > kept.checkpoint.size;
  }

  /** Undefined when the tally does not answer; empty when it has seen none. */
  async #askTally(): Promise<Uint8Array | undefined> {
    const { directory, identity, shardId, log } = this.#parts;
    const client = createClient(WitnessService, directory.current.tally, identity);
    try {
      return (await client.getHighestCheckpoint({ shardId }, { deadlineMs: askLimitMs })).signedNote;
    } catch (error) {
      log.info({ err: error }, "the tally could not be asked for the highest checkpoint; it is asked again");
      return undefined;
    } finally {
      client.close();
    }
  }

  #read(note: Uint8Array, source: string): Published {
    try {
      const origin = claimedOrigin(note);
      const verifier = parseVerifierKey(formatVerifierKey(origin, this.#parts.key.publicKey));
      const checkpoint = parseCheckpoint(verifyNote(note, [verifier]).text);
      return { source, checkpoint, generation: parseLogOrigin(checkpoint.origin)?.generation ?? 0 };
    } catch (error) {
      if (!(error instanceof LedgerFormatError)) throw error;
      return { source, unverified: error.message, generation: 0 };
    }
  }
}

const nobodyKnows =
  "this node has no checkpoint in its file and the tally does not answer, so nobody can tell whether the database holds all " +
  "that was published; it serves once the tally answers";

/** Undefined when the node has none, or does not answer. */
async function askPeer(address: string, identity: Identity | undefined): Promise<Uint8Array | undefined> {
  const client = createClient(ShardService, address, identity);
  try {
    const { signedNote } = await client.getShardCheckpoint({ kept: true }, { deadlineMs: askLimitMs });
    return signedNote.length === 0 ? undefined : signedNote;
  } catch {
    return undefined;
  } finally {
    client.close();
  }
}

/** A checkpoint that is known outside the database, or why what stands in its place is none. */
type Published = { readonly source: string; readonly generation: number } & (
  | { readonly checkpoint: Checkpoint }
  | { readonly unverified: string }
);

async function demandContains(client: pg.Client, head: Head, published: Published, newest: number): Promise<void> {
  const { source, generation } = published;
  if ("unverified" in published) {
    const { unverified } = published;
    throw new LedgerLossError(
      `the checkpoint that ${source} has does not verify with this shard's key: ${unverified}`,
      newest,
    );
  }
  const { origin, size, root } = published.checkpoint;
  // A loss before this generation was accepted.
  if (generation < head.generation) return;
  const what = `${source} has a checkpoint of "${origin}" with ${size} leaves`;
  if (generation > head.generation) {
    throw new LedgerLossError(`${what}, and the database is still at generation ${head.generation}`, newest);
  }
  if (size > head.treeSize) {
    throw new LedgerLossError(
      `${what}, and the database holds ${head.treeSize}: ${size - head.treeSize} acknowledged votes are missing`,
      newest,
    );
  }
  if (size === 0 || (await storedProofs(client).rootAt(size)).equals(root)) return;
  throw new LedgerLossError(`${what}, and the first ${size} leaves in the database are others`, newest);
}
