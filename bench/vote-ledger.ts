/** The ledger of acknowledgements: every vote that a test sent, and every outcome that it was told. The checker's witness. */
import type { ReplayReceipt, SettledBallot } from "#bench/replay-account.ts";
import { fileContestId } from "./election-file.ts";

export type SentVote = {
  readonly electionId: string;
  /** The voter ID or ballot ID. */
  readonly voterId: string;
  readonly regionId: string;
  readonly selections: readonly { readonly contestId: string; readonly optionIds: readonly string[] }[];
  /** Empty: none. */
  readonly idempotencyKey: Uint8Array;
};

export type ToldOutcome =
  | { readonly kind: "recorded" | "repeat"; readonly receipt: ReplayReceipt }
  /** A reason of the catalogue but OUTCOME_UNKNOWN: certainly not stored by this sending. */
  | { readonly kind: "refused"; readonly reason: string }
  /** OUTCOME_UNKNOWN, or no answer: it may be stored, also later. */
  | { readonly kind: "unknown" };

export type LedgerEntry = { readonly vote: SentVote; readonly outcome: ToldOutcome; readonly toldAtMs: number };

export class VoteLedger {
  readonly #entries: LedgerEntry[] = [];

  get entries(): readonly LedgerEntry[] {
    return this.#entries;
  }

  get acknowledged(): number {
    return this.#entries.filter(({ outcome }) => outcome.kind === "recorded" || outcome.kind === "repeat").length;
  }

  /** Notes what one sending of a vote was answered, when it is answered. */
  note(vote: SentVote, outcome: ToldOutcome): void {
    this.#entries.push({ vote, outcome, toldAtMs: performance.now() });
  }

  /** For `onSettled` of a replay. */
  noteSettled(electionId: string, settled: SettledBallot): void {
    const { voterId, regionId, optionId, idempotencyKey } = settled.ballot;
    const selections = [{ contestId: fileContestId, optionIds: [optionId] }];
    const vote = { electionId, voterId, regionId, selections, idempotencyKey };
    this.note(vote, settled.kind === "rejected" ? { kind: "refused", reason: settled.reason } : toldOf(settled));
  }
}

function toldOf(settled: Exclude<SettledBallot, { kind: "rejected" }>): ToldOutcome {
  return settled.kind === "unknown" ? { kind: "unknown" } : { kind: settled.kind, receipt: settled.receipt };
}
