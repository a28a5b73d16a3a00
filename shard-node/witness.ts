/**
 * What is known of the shard's ledger outside its database: the highest checkpoint in the node's own file, and the one that
 * the tally has seen. A log that is shorter than a checkpoint it has signed has lost votes; one with another root at that
 * size was rewritten. Both must stop the shard, loudly (I8).
 */
import type pg from "pg";
import type { Directory } from "#mesh/directory.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { Logger } from "#mesh/log.ts";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { type Checkpoint, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
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
  constructor(because: string) {
    super(because);
    this.name = "LedgerLossError";
  }
}

/** The tally is asked on the way to each takeover, which must not wait long for one that is away. */
const askLimitMs = 500;

export type WitnessParts = {
  readonly shardId: number;
  readonly directory: Directory;
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
   * Throws LedgerLossError when the ledger at this head does not contain what was published of it. Answers whether the tally
   * could be asked: without it, what this node has published itself is all that is known.
   */
  async demandUnbroken(client: pg.Client, head: Head): Promise<boolean> {
    const own = this.#parts.file.read();
    if (own !== undefined) await this.#demandContains(client, head, own, this.#parts.file.path);
    const seen = await this.#askTally();
    if (seen !== undefined && seen.length > 0) await this.#demandContains(client, head, seen, "the tally");
    return seen !== undefined;
  }

  /** Undefined when the tally does not answer; empty when it has seen none. */
  async #askTally(): Promise<Uint8Array | undefined> {
    const { directory, shardId, log } = this.#parts;
    const client = createClient(WitnessService, directory.current.tally);
    try {
      return (await client.getHighestCheckpoint({ shardId }, { deadlineMs: askLimitMs })).signedNote;
    } catch (error) {
      log.info({ err: error }, "the tally could not be asked for the highest checkpoint; it is asked again");
      return undefined;
    } finally {
      client.close();
    }
  }

  async #demandContains(client: pg.Client, head: Head, note: Uint8Array, source: string): Promise<void> {
    const known = this.#verified(note, source);
    const generation = parseLogOrigin(known.origin)?.generation ?? 0;
    // A loss before this generation was accepted.
    if (generation < head.generation) return;
    const published = `${source} has a checkpoint of "${known.origin}" with ${known.size} leaves`;
    if (generation > head.generation) {
      throw new LedgerLossError(`${published}, and the database is still at generation ${head.generation}`);
    }
    if (known.size > head.treeSize) {
      throw new LedgerLossError(
        `${published}, and the database holds ${head.treeSize}: ${known.size - head.treeSize} acknowledged votes are missing`,
      );
    }
    if (known.size === 0) return;
    const root = await storedProofs(client).rootAt(known.size);
    if (root.equals(known.root)) return;
    throw new LedgerLossError(`${published}, and the first ${known.size} leaves in the database are others`);
  }

  #verified(note: Uint8Array, source: string): Checkpoint {
    try {
      const origin = originOf(note);
      const verifier = parseVerifierKey(formatVerifierKey(origin, this.#parts.key.publicKey));
      return parseCheckpoint(verifyNote(note, [verifier]).text);
    } catch (error) {
      if (!(error instanceof LedgerFormatError)) throw error;
      throw new LedgerLossError(
        `the checkpoint that ${source} has does not verify with this shard's key: ${error.message}`,
      );
    }
  }
}

/** The note's first line. Believed only once the note verifies under that name. */
function originOf(note: Uint8Array): string {
  const text = Buffer.from(note).toString("utf8");
  return text.slice(0, Math.max(0, text.indexOf("\n")));
}
