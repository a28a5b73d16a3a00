/** The witness of each shard: with the key that was given, else the one that is remembered, else the one that is served now. */
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { parseVerifierKey } from "#proto/ledger/signed-note.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import { type AuditState, AuditStateError, type ShardMemory } from "./audit-state.ts";
import type { FindingBook } from "./finding-book.ts";
import type { OutsideWord } from "./outside-word.ts";
import { ShardWitness } from "./shard-witness.ts";

export type NewKey = { readonly shardId: number; readonly verifierKey: string };

/** By shard. Throws LedgerFormatError for a key that is none, or of no shard, or the second of one shard. */
export function keysByShard(verifierKeys: readonly string[]): Map<number, string> {
  const keys = new Map<number, string>();
  for (const verifierKey of verifierKeys) {
    const { name } = parseVerifierKey(verifierKey);
    const shardId = parseLogOrigin(name)?.shardId;
    if (shardId === undefined) throw new LedgerFormatError(`"${name}" is not the name of a shard's log`);
    if (keys.has(shardId)) throw new LedgerFormatError(`two verifier keys are of shard ${shardId}`);
    keys.set(shardId, verifierKey);
  }
  return keys;
}

export class WitnessRoster {
  readonly #witnesses = new Map<number, ShardWitness>();
  /** Keys that nobody had vouched for before. */
  readonly newKeys: NewKey[] = [];

  constructor(
    shardIds: readonly number[],
    given: ReadonlyMap<number, string>,
    state: AuditState,
    word: OutsideWord,
    findings: FindingBook,
  ) {
    for (const shardId of shardIds) {
      const memory = state.shards.get(shardId);
      const served = word.verifierKeys.find((key) => key.shardId === shardId)?.verifierKey;
      const witness = this.#meet(shardId, given.get(shardId), memory, served);
      if (witness === undefined) continue;
      this.#witnesses.set(shardId, witness);
      if (memory !== undefined) {
        witness.compareKey(memory.verifierKey, findings, "the state file");
        witness.recall(memory, findings);
      }
      if (served !== undefined) witness.compareKey(served, findings, "the router");
    }
    this.learn(word, findings);
  }

  /** Undefined where no key of the shard is known. */
  of(shardId: number): ShardWitness | undefined {
    return this.#witnesses.get(shardId);
  }

  /** Takes in what was served. */
  learn({ checkpoints, results }: OutsideWord, findings: FindingBook): void {
    for (const { shardId, note, source } of checkpoints) {
      this.#witnesses.get(shardId)?.learnCheckpoint(note, findings, source);
    }
    for (const { shardId, note, source } of results) {
      this.#witnesses.get(shardId)?.learnResult(note, findings, source);
    }
  }

  /** What is to be remembered, on top of what is remembered by now. */
  memories(present: AuditState): Map<number, ShardMemory> {
    const memories = new Map(present.shards);
    for (const [shardId, witness] of this.#witnesses) {
      const known = memories.get(shardId);
      // What was added meanwhile is verified by the next pass, which reads it from the file.
      const checkpoints = new Set([...(known?.checkpoints ?? []), ...witness.memory().checkpoints]);
      const results = new Set([...(known?.results ?? []), ...witness.memory().results]);
      const verifierKey = known?.verifierKey ?? witness.verifierKey;
      memories.set(shardId, { verifierKey, checkpoints: [...checkpoints], results: [...results] });
    }
    return memories;
  }

  #meet(
    shardId: number,
    given: string | undefined,
    memory: ShardMemory | undefined,
    served: string | undefined,
  ): ShardWitness | undefined {
    if (given !== undefined) return new ShardWitness(shardId, given);
    if (memory !== undefined) return remembered(shardId, memory.verifierKey);
    if (served === undefined) return undefined;
    const witness = servedWitness(shardId, served);
    if (witness !== undefined) this.newKeys.push({ shardId, verifierKey: served });
    return witness;
  }
}

function remembered(shardId: number, verifierKey: string): ShardWitness {
  try {
    return new ShardWitness(shardId, verifierKey);
  } catch (error) {
    if (!(error instanceof LedgerFormatError)) throw error;
    throw new AuditStateError(`the state file has no key of shard ${shardId} that can be used: ${error.message}`);
  }
}

/** Undefined where what is served is no key of the shard. */
function servedWitness(shardId: number, verifierKey: string): ShardWitness | undefined {
  try {
    return new ShardWitness(shardId, verifierKey);
  } catch (error) {
    if (error instanceof LedgerFormatError) return undefined;
    throw error;
  }
}
