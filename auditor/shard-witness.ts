/**
 * What is known of one shard's log outside its database: the key that is trusted, and everything that was signed with it. Of two
 * roots for one size, one log is forged, whatever the database says (I8).
 */
import { type Checkpoint, claimedOrigin, parseCheckpoint } from "#proto/ledger/checkpoint.ts";
import { type ElectionResult, parseElectionResult } from "#proto/ledger/election-result.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import {
  formatVerifierKey,
  type NoteVerifier,
  parseVerifierKey,
  rawPublicKey,
  verifyNote,
} from "#proto/ledger/signed-note.ts";
import { parseLogOrigin } from "#proto/log-origin.ts";
import type { ShardMemory } from "./audit-state.ts";
import type { FindingBook } from "./finding-book.ts";
import { inSizeOrder, type SignedSize } from "./signed-size.ts";

type KnownCheckpoint = SignedSize & { readonly note: string };

export type KnownResult = { readonly result: ElectionResult; readonly note: string; readonly generation: number };

export class ShardWitness {
  readonly shardId: number;
  readonly #deployment: string;
  readonly #verifierKey: string;
  readonly #publicKey: Buffer;
  readonly #checkpoints: KnownCheckpoint[] = [];
  readonly #results: KnownResult[] = [];

  /** Throws LedgerFormatError unless the key is one of this shard's log. */
  constructor(shardId: number, verifierKey: string) {
    const verifier = parseVerifierKey(verifierKey);
    const origin = parseLogOrigin(verifier.name);
    if (origin?.shardId !== shardId) {
      throw new LedgerFormatError(`the verifier key of "${verifier.name}" is none of shard ${shardId}`);
    }
    this.shardId = shardId;
    this.#deployment = origin.deployment;
    this.#verifierKey = verifierKey;
    this.#publicKey = rawPublicKey(verifier.publicKey);
  }

  get deployment(): string {
    return this.#deployment;
  }

  get verifierKey(): string {
    return this.#verifierKey;
  }

  /** 32 bytes */
  get publicKey(): Buffer {
    return this.#publicKey;
  }

  /** One for each generation in which it was asked for: a log that goes on after a loss signs its results anew. */
  resultsOf(electionId: string): readonly KnownResult[] {
    return this.#results.filter(({ result }) => result.electionId === electionId);
  }

  /** The most leaves that were signed, in the newest generation. */
  get signedLeaves(): number {
    const { generation } = this;
    return Math.max(0, ...this.#checkpoints.filter((known) => known.generation === generation).map(({ size }) => size));
  }

  get generation(): number {
    return Math.max(1, ...this.#checkpoints.map(({ generation }) => generation));
  }

  get checkpointCount(): number {
    return this.#checkpoints.length;
  }

  /** Everything that was signed for a size of the log. */
  signedSizes(): SignedSize[] {
    const ofResults = this.#results.map(({ result, generation }) => ({
      size: result.checkpoint.size,
      root: result.checkpoint.root,
      generation,
      what: `the result of ${result.electionId}`,
    }));
    return inSizeOrder([...ofResults, ...this.#checkpoints]);
  }

  /** What it was when the auditor last looked. What does not verify is reported: the file was changed, or the key was. */
  recall({ checkpoints, results }: ShardMemory, findings: FindingBook): void {
    for (const note of checkpoints) this.learnCheckpoint(Buffer.from(note), findings, "the state file");
    for (const note of results) this.learnResult(Buffer.from(note), findings, "the state file");
  }

  /** To be remembered until the next time. Two that contradict each other are both kept: together they are the proof. */
  memory(): ShardMemory {
    return {
      verifierKey: this.#verifierKey,
      checkpoints: this.#checkpoints.map(({ note }) => note),
      results: this.#results.map(({ note }) => note),
    };
  }

  /** A signed checkpoint, from wherever it comes. */
  learnCheckpoint(note: Uint8Array, findings: FindingBook, source: string): void {
    const read = this.#read(note, findings, `the checkpoint of ${source}`, parseCheckpoint);
    if (read === undefined) return;
    const { parsed: checkpoint, generation } = read;
    const { size, root } = checkpoint;
    const twin = this.#checkpoints.find((known) => known.generation === generation && known.size === size);
    if (twin?.root.equals(root) === true) return;
    if (twin !== undefined) this.#contradict(checkpoint, findings, source);
    const known = { note: Buffer.from(note).toString("utf8"), size, root, generation, what: "a checkpoint" };
    this.#checkpoints.push(known);
  }

  /** What a shard signed when an election had closed on it. */
  learnResult(note: Uint8Array, findings: FindingBook, source: string): void {
    const read = this.#read(note, findings, `the result of ${source}`, (text) => {
      const result = parseElectionResult(text);
      return { ...result, origin: result.checkpoint.origin };
    });
    if (read === undefined) return;
    const { parsed: result, generation } = read;
    const { electionId } = result;
    const text = Buffer.from(note).toString("utf8");
    const ofGeneration = this.resultsOf(electionId).filter((known) => known.generation === generation);
    if (ofGeneration.some((known) => known.note === text)) return;
    // A result is final: two that differ are both kept, as the proof.
    findings.demand(ofGeneration.length === 0, () => ({
      kind: "RESULT_DIFFERS",
      shardId: this.shardId,
      electionId,
      detail: `two different results of it were signed; the other one comes from ${source}`,
    }));
    this.#results.push({ result, note: text, generation });
  }

  /** What is served as the shard's key; a key of another generation's name is the same key. */
  compareKey(verifierKey: string, findings: FindingBook, source: string): void {
    let verifier: NoteVerifier | undefined;
    try {
      verifier = parseVerifierKey(verifierKey);
    } catch (error) {
      if (!(error instanceof LedgerFormatError)) throw error;
    }
    if (verifier !== undefined && rawPublicKey(verifier.publicKey).equals(this.#publicKey)) return;
    const detail = `${source} has the key ${verifierKey}, and the one that is trusted is ${this.#verifierKey}`;
    findings.add({ kind: "KEY_CHANGED", shardId: this.shardId, detail });
  }

  #read<T extends Pick<Checkpoint, "origin">>(
    note: Uint8Array,
    findings: FindingBook,
    what: string,
    parse: (text: string) => T,
  ): { parsed: T; generation: number } | undefined {
    try {
      // Believed only once the note verifies under that name.
      const name = claimedOrigin(note);
      const origin = parseLogOrigin(name);
      if (origin?.shardId !== this.shardId || origin.deployment !== this.#deployment) {
        throw new LedgerFormatError(`it is of the log "${name}", not of shard ${this.shardId} of ${this.#deployment}`);
      }
      const verifier = parseVerifierKey(formatVerifierKey(name, this.#publicKey));
      const parsed = parse(verifyNote(note, [verifier]).text);
      if (parsed.origin !== name) throw new LedgerFormatError("its text begins with another name than the log's");
      return { parsed, generation: origin.generation };
    } catch (error) {
      if (!(error instanceof LedgerFormatError)) throw error;
      const isOtherKey = /by another key/.test(error.message);
      const kind = isOtherKey ? "KEY_CHANGED" : "CHECKPOINT_UNREADABLE";
      findings.add({ kind, shardId: this.shardId, detail: `${what} does not verify: ${error.message}` });
      return undefined;
    }
  }

  #contradict({ size }: Checkpoint, findings: FindingBook, source: string): void {
    const before = this.#checkpoints.filter((known) => known.size < size).map((known) => known.size);
    findings.add({
      kind: "CHECKPOINTS_CONTRADICT",
      shardId: this.shardId,
      leaf: Math.max(0, ...before),
      throughLeaf: Math.max(0, size - 1),
      detail: `two different roots were signed for ${size} leaves; the other one comes from ${source}`,
    });
  }
}
