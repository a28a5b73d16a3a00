/**
 * What the services say, outside the databases: keys, checkpoints and results through a router, tallies, and the highest
 * checkpoints that the tally has seen. Asked before the standbys are read, so that a standby must hold at least as much.
 */
import { CallError } from "#mesh/call-error.ts";
import { type Client, createClient } from "#mesh/grpc-client.ts";
import type { Identity } from "#mesh/identity.ts";
import { LedgerService } from "#proto/generated/urna/v1/ledger_service_pb.js";
import { type RegionTally, type TallyCut, TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { deadlineDefaultMs } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";

export type Services = {
  /** "host:port" of a router. */
  readonly router: string;
  /** "host:port" of the tally; undefined where it is not known. */
  readonly tally: string | undefined;
  /** Undefined: they speak plaintext. */
  readonly identity?: Identity | undefined;
};

export type TallyTable = { readonly cut: TallyCut; readonly regions: readonly RegionTally[] };

/** `source` says who served the note, for people. */
export type ServedNote = { readonly shardId: number; readonly note: Uint8Array; readonly source: string };

export type OutsideWord = {
  readonly verifierKeys: readonly { readonly shardId: number; readonly verifierKey: string }[];
  readonly checkpoints: readonly ServedNote[];
  readonly results: readonly ServedNote[];
  /** By election. */
  readonly tallies: ReadonlyMap<string, TallyTable>;
  /** What could not be asked, and why: without it the audit is not complete. */
  readonly gaps: readonly string[];
};

export type Question = {
  readonly shardIds: readonly number[];
  /** Those whose tally and result are audited. */
  readonly elections: readonly { readonly electionId: string; readonly mayHaveClosed: boolean }[];
};

/** A shard that refuses to serve keeps a router waiting as long as it may. */
const shardAnswerMs = 3_000;

/** Answers that are no failure of the question: there is nothing to be had yet. */
const nothingYet: readonly string[] = ["RESULTS_SEALED", "UNKNOWN_ELECTION"];

export async function askOutside(services: Services, question: Question, signal: AbortSignal): Promise<OutsideWord> {
  const asking = new Asking(services, signal);
  try {
    // The tally first: what it shows is in every later checkpoint.
    const tallies = await asking.tallies(question);
    const [verifierKeys, results, witnessed, signed] = await Promise.all([
      asking.verifierKeys(),
      asking.results(question),
      asking.witnessed(question),
      asking.checkpoints(question),
    ]);
    return { verifierKeys, checkpoints: [...witnessed, ...signed], results, tallies, gaps: asking.gaps };
  } finally {
    asking.close();
  }
}

class Asking {
  readonly gaps: string[] = [];
  readonly #signal: AbortSignal;
  readonly #ledger: Client<typeof LedgerService>;
  readonly #tally: Client<typeof TallyService>;
  readonly #witness: Client<typeof WitnessService> | undefined;

  constructor({ router, tally, identity }: Services, signal: AbortSignal) {
    this.#signal = signal;
    this.#ledger = createClient(LedgerService, router, identity);
    this.#tally = createClient(TallyService, router, identity);
    this.#witness = tally === undefined ? undefined : createClient(WitnessService, tally, identity);
  }

  close(): void {
    this.#ledger.close();
    this.#tally.close();
    this.#witness?.close();
  }

  async tallies({ elections }: Question): Promise<Map<string, TallyTable>> {
    const tables = new Map<string, TallyTable>();
    for (const { electionId } of elections) {
      const table = await this.#ask(`the tally of ${electionId}`, () => this.#table(electionId));
      if (table !== undefined) tables.set(electionId, table);
    }
    return tables;
  }

  async verifierKeys() {
    const answer = await this.#ask("the verifier keys", () => this.#ledger.getVerifierKeys({}, this.#limits));
    return answer?.keys ?? [];
  }

  async checkpoints({ shardIds }: Question): Promise<ServedNote[]> {
    const notes = shardIds.map(async (shardId): Promise<ServedNote[]> => {
      const ask = () => this.#ledger.getCheckpoint({ shardId }, this.#limits);
      const answer = await this.#ask(`the checkpoint of shard ${shardId}`, ask);
      return answer === undefined ? [] : [{ shardId, note: answer.signedNote, source: "the router" }];
    });
    return (await Promise.all(notes)).flat();
  }

  /** A shard's highest checkpoint by the tally's word is known from there also while the shard itself does not serve. */
  async witnessed({ shardIds }: Question): Promise<ServedNote[]> {
    const witness = this.#witness;
    if (witness === undefined) return [];
    const notes = shardIds.map(async (shardId): Promise<ServedNote[]> => {
      const ask = () => witness.getHighestCheckpoint({ shardId }, this.#limits);
      const answer = await this.#ask(`the tally's highest checkpoint of shard ${shardId}`, ask);
      const note = answer?.signedNote ?? new Uint8Array();
      return note.length === 0 ? [] : [{ shardId, note, source: "the tally" }];
    });
    return (await Promise.all(notes)).flat();
  }

  async results({ elections }: Question) {
    const notes: ServedNote[] = [];
    for (const { electionId, mayHaveClosed } of elections) {
      if (!mayHaveClosed) continue;
      const ask = () => this.#ledger.getElectionResult({ electionId }, this.#limits);
      const answer = await this.#ask(`the result of ${electionId}`, ask);
      for (const { shardId, signedNote } of answer?.results ?? []) {
        notes.push({ shardId, note: signedNote, source: "the router" });
      }
    }
    return notes;
  }

  async #table(electionId: string): Promise<TallyTable | undefined> {
    const regions: RegionTally[] = [];
    const tableLimits = { deadlineMs: deadlineDefaultMs, signal: this.#signal };
    let cut: TallyCut | undefined;
    for await (const part of this.#tally.getTallyTable({ electionId }, tableLimits)) {
      cut ??= part.cut;
      regions.push(...part.regions);
    }
    return cut === undefined ? undefined : { cut, regions };
  }

  get #limits() {
    return { deadlineMs: shardAnswerMs, signal: this.#signal };
  }

  /** Notes what cannot be had. Throws when the audit is to end. */
  async #ask<T>(what: string, ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.#signal.throwIfAborted();
      if (error instanceof RejectionError) {
        if (!nothingYet.includes(error.reason))
          this.gaps.push(`${what} could not be had: ${error.reason}: ${error.message}`);
      } else if (error instanceof CallError)
        this.gaps.push(`${what} could not be had: ${error.code}: ${error.message}`);
      else throw error;
      return undefined;
    }
  }
}
