/**
 * What the tally has seen a shard sign, and whether it may believe the next. The largest checkpoint is kept for ever, and
 * is replaced only by one whose signature verifies and of which the shard has proved that it continues the one kept: so each
 * step says that the log only grew (I8). What a shard that is below it has lost, it can hide from nobody.
 *
 * Signature, size and root are judged when a checkpoint comes. Only a larger one needs the shard's proof: one is asked for at
 * a time, and of those that come meanwhile the largest waits (I9).
 */
import type { Logger } from "#mesh/log.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { verifyConsistency } from "#proto/ledger/merkle-proof.ts";
import type { ShardClient } from "./shard-peers.ts";
import type { Clock } from "./shard-reading.ts";
import type { ShardLedger, SignedCheckpoint } from "./signed-checkpoint.ts";
import { areTwins, isBefore, publicKeyIn, readSignedCheckpoint } from "./signed-checkpoint.ts";
import type { Fault, FaultKind } from "./witness-findings.ts";
import { faultText, findingsOf } from "./witness-findings.ts";
import { lossesMax, type WitnessRecord } from "./witness-record.ts";

/** What is asked of the shard whose checkpoint came. */
export type LedgerReader = Pick<ShardClient, "getShardCheckpoint" | "proveConsistency">;

export type WitnessTimes = {
  readonly proofDeadlineMs: number;
  /** Between two proofs: a shard signs up to ten heads a second, and each proof reads from its tables. */
  readonly proofEveryMs: number;
  /** How long a shard may owe a proof before people are told. */
  readonly unprovedMsMax: number;
  /**
   * How long a shard may seem to be shorter before people are told: a writer that was deposed and has not noticed says so
   * too, for a moment.
   */
  readonly shorterMsMax: number;
};

export type ShardWitnessParts = {
  readonly ledger: ShardLedger;
  /** Of the process before this one. */
  readonly record: WitnessRecord | undefined;
  readonly clock: Clock;
  readonly times: WitnessTimes;
  readonly log: Logger;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
  /** Called with each record that takes the place of another. */
  changed(): void;
};

export class ShardWitness {
  /** How many checkpoints were refused, by reason. */
  readonly refused = new Map<FaultKind, number>();
  readonly #parts: ShardWitnessParts;
  #record: WitnessRecord | undefined;
  #publicKey: Buffer = Buffer.alloc(0);
  /** The newest that came before the shard's key was known. */
  #unread: Buffer | undefined;
  #proving: SignedCheckpoint | undefined;
  #waiting: SignedCheckpoint | undefined;
  /** Monotonic. */
  #provedAtMs = Number.NEGATIVE_INFINITY;
  /** Monotonic. */
  #unprovedSinceMs: number | undefined;
  #work: Promise<void> | undefined;
  #fault: (Fault & { readonly sinceMs: number }) | undefined;
  readonly #told = new Set<FaultKind>();

  constructor(parts: ShardWitnessParts) {
    this.#parts = parts;
    if (parts.record !== undefined) this.#enter(parts.record);
  }

  get record(): WitnessRecord | undefined {
    return this.#record;
  }

  /** Of the log that is believed; undefined before the first checkpoint. */
  get generation(): number | undefined {
    return this.#record?.highest.generation;
  }

  /** Sentences for people; empty while all is well. */
  get findings(): string[] {
    const { ledger, clock, times } = this.#parts;
    const fault = this.#fault;
    const isYoung = fault?.kind === "shorter" && clock.monotonicMs() - fault.sinceMs < times.shorterMsMax;
    return findingsOf(this.#record, isYoung ? undefined : fault).map((text) => `shard ${ledger.shardId}: ${text}`);
  }

  /** A message came from the shard, with a checkpoint or (empty) without. What was not answered before is asked again. */
  hear(note: Uint8Array, shard: LedgerReader): void {
    if (note.length > 0) this.#take(Buffer.from(note));
    if (this.#unread !== undefined || this.#isProofDue) this.#work ??= this.#advance(shard);
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  #take(note: Buffer): void {
    if (this.#record === undefined) {
      this.#unread = note;
      return;
    }
    const { highest } = this.#record;
    const claim = this.#readOrRefuse(note);
    if (claim === undefined) return;
    // Each is after the one before it.
    const seen = [highest, this.#proving, this.#waiting].filter((one) => one !== undefined);
    const largest = seen.at(-1) ?? highest;
    const twin = seen.find((one) => areTwins(one, claim));
    if (twin !== undefined && !twin.root.equals(claim.root)) this.#refuseTwin(twin, claim);
    else if (isBefore(claim, largest)) this.#refuse({ kind: "shorter", claim, than: largest }, note);
    else if (claim.generation > largest.generation) this.#beginGeneration(claim);
    else if (twin === undefined) this.#waiting = claim;
    else if (twin === highest) this.#confirm();
  }

  get #isProofDue(): boolean {
    const { clock, times } = this.#parts;
    return this.#waiting !== undefined && clock.monotonicMs() - this.#provedAtMs >= times.proofEveryMs;
  }

  /** Until nothing waits that may be asked about now, or the shard does not answer. */
  async #advance(shard: LedgerReader): Promise<void> {
    try {
      if (this.#record === undefined) await this.#meet(shard);
      while (this.#record !== undefined && this.#waiting !== undefined && this.#isProofDue) {
        const answered = await this.#check(this.#record, this.#waiting, shard);
        if (!answered) return;
      }
    } finally {
      this.#work = undefined;
    }
  }

  /** Whether the shard answered. */
  async #check(record: WitnessRecord, next: SignedCheckpoint, shard: LedgerReader): Promise<boolean> {
    this.#waiting = undefined;
    this.#proving = next;
    const outcome = await this.#prove(record.highest, next, shard);
    this.#provedAtMs = this.#parts.clock.monotonicMs();
    this.#proving = undefined;
    // Meanwhile a later generation began: nothing of this one is of interest any more.
    if (this.generation !== next.generation) return true;
    switch (outcome) {
      case "continues":
        this.#keep(next);
        return true;
      case "broken":
        this.#refuse({ kind: "not-continued", claim: next, than: record.highest }, next.note);
        return true;
      case "unanswered":
        this.#waiting ??= next;
        this.#complainIfOwed(this.#waiting, record.highest);
        return false;
    }
  }

  /** First sight of the shard: its key is believed this once, and never another. */
  async #meet(shard: LedgerReader): Promise<void> {
    const answer = await this.#ask((options) => shard.getShardCheckpoint({}, options));
    const note = this.#unread;
    if (answer === undefined || note === undefined) return;
    this.#unread = undefined;
    const { verifierKey } = answer;
    try {
      const publicKey = publicKeyIn(verifierKey, this.#parts.ledger);
      const highest = readSignedCheckpoint(note, publicKey, this.#parts.ledger);
      this.#parts.log.info({ verifierKey }, "the shard's key is seen for the first time, and kept");
      this.#replace({ verifierKey, highest, twoRoots: undefined, losses: [] });
    } catch (error) {
      this.#refuse({ kind: "unverified", because: formatFault(error) }, note);
    }
  }

  async #prove(
    highest: SignedCheckpoint,
    next: SignedCheckpoint,
    shard: LedgerReader,
  ): Promise<"continues" | "broken" | "unanswered"> {
    const sizes = { oldSize: BigInt(highest.size), newSize: BigInt(next.size) };
    // Nobody is asked to prove that a tree continues the empty one.
    const proof =
      highest.size === 0 ? { hashes: [] } : await this.#ask((options) => shard.proveConsistency(sizes, options));
    if (proof === undefined) return "unanswered";
    const claim = { oldSize: highest.size, oldRoot: highest.root, newSize: next.size, newRoot: next.root };
    return verifyConsistency({ ...claim, proof: proof.hashes }) ? "continues" : "broken";
  }

  /** Undefined when the shard does not answer: it is asked again with its next message. */
  async #ask<T>(call: (options: { deadlineMs: number; signal: AbortSignal }) => Promise<T>): Promise<T | undefined> {
    const { times, signal, log } = this.#parts;
    try {
      return await call({ deadlineMs: times.proofDeadlineMs, signal });
    } catch (error) {
      log.debug({ err: error }, "the shard did not answer about its ledger");
      return undefined;
    }
  }

  #keep(next: SignedCheckpoint): void {
    // Read now: that it signed two roots may have become known while the proof was on its way.
    if (this.#record === undefined) throw new Error("ShardWitness: a checkpoint was proved to continue none");
    this.#replace({ ...this.#record, highest: next });
    this.#confirm();
  }

  /** A loss was accepted, signed by the shard's key: nothing has to continue the log that ended. It is kept as evidence. */
  #beginGeneration(next: SignedCheckpoint): void {
    if (this.#record === undefined) throw new Error("ShardWitness: a generation after none");
    const last = this.#record.highest;
    this.#proving = undefined;
    this.#waiting = undefined;
    const losses = [...this.#record.losses, { last, next }].slice(-lossesMax);
    this.#replace({ ...this.#record, highest: next, losses });
    const notes = { last: excerpt(last.note), next: excerpt(next.note) };
    this.#parts.log.error(notes, "the shard's log began anew: a loss was accepted");
    this.#confirm();
  }

  /** What came last agrees with all that was kept. */
  #confirm(): void {
    this.#unprovedSinceMs = undefined;
    this.#told.clear();
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#parts.log.info("the shard's checkpoints are sound again");
  }

  #readOrRefuse(note: Buffer): SignedCheckpoint | undefined {
    try {
      return readSignedCheckpoint(note, this.#publicKey, this.#parts.ledger);
    } catch (error) {
      this.#refuse({ kind: "unverified", because: formatFault(error) }, note);
      return undefined;
    }
  }

  /** Both are signed, so this stays true whatever comes after it. */
  #refuseTwin(known: SignedCheckpoint, claim: SignedCheckpoint): void {
    this.#count("two-roots");
    if (this.#record === undefined || this.#record.twoRoots !== undefined) return;
    this.#replace({ ...this.#record, twoRoots: [known, claim] });
    const notes = { one: excerpt(known.note), other: excerpt(claim.note) };
    this.#parts.log.error(notes, "the shard has signed two roots for one size of its log");
  }

  #complainIfOwed(claim: SignedCheckpoint, than: SignedCheckpoint): void {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#unprovedSinceMs ??= nowMs;
    if (nowMs - this.#unprovedSinceMs < this.#parts.times.unprovedMsMax) return;
    this.#refuse({ kind: "unproved", claim, than }, claim.note);
  }

  /** The same fault again is no news for the log. */
  #refuse(fault: Fault, note: Buffer): void {
    this.#count(fault.kind);
    const sinceMs = this.#fault?.kind === fault.kind ? this.#fault.sinceMs : this.#parts.clock.monotonicMs();
    this.#fault = { ...fault, sinceMs };
    if (this.#told.has(fault.kind)) return;
    this.#told.add(fault.kind);
    this.#parts.log.error({ note: excerpt(note) }, `the shard's checkpoint is refused: ${faultText(fault)}`);
  }

  #count(kind: FaultKind): void {
    this.refused.set(kind, (this.refused.get(kind) ?? 0) + 1);
  }

  #replace(record: WitnessRecord): void {
    this.#enter(record);
    this.#parts.changed();
  }

  #enter(record: WitnessRecord): void {
    // I8, whoever calls: what was seen is not forgotten.
    if (this.#record !== undefined && isBefore(record.highest, this.#record.highest)) {
      throw new Error("ShardWitness: the highest checkpoint went back");
    }
    this.#record = record;
    this.#publicKey = publicKeyIn(record.verifierKey, this.#parts.ledger);
  }
}

const excerptMax = 1_000;

function excerpt(note: Buffer): string {
  return note.toString("utf8").slice(0, excerptMax);
}

function formatFault(error: unknown): string {
  if (error instanceof LedgerFormatError) return error.message;
  throw error;
}
