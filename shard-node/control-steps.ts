/**
 * What a control batch does: each step is one statement of the batch's transaction, one line of its audit trail, and the
 * change to the election book once the batch is durable. Steps that would change nothing are left out.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type ElectionShape, electionShape } from "#proto/election-shape.ts";
import { ElectionDefinitionSchema, ElectionState } from "#proto/generated/urna/v1/election_pb.js";
import { RejectionError } from "#proto/rejections.ts";
import { type ElectionBook, ElectionEntry, type HomeRecord } from "./election-book.ts";

export type ControlStep = {
  readonly text: string;
  /** The batch's number is appended where `needsBatch`. */
  readonly values: readonly unknown[];
  readonly needsBatch: boolean;
  /** Runs behind the head's compare-and-set, not before the batch row. */
  readonly afterHead?: boolean;
  /** For the batch row's `control` column: the admin audit trail. */
  readonly audit: { readonly action: string; readonly election: string; readonly by: string };
  apply(book: ElectionBook, batch: number): void;
};

/** Brings the shard's own copy of an election to what its home wants. */
export function copySteps(book: ElectionBook, home: HomeRecord): ControlStep[] {
  const entry = book.entry(home.electionId);
  if (entry !== undefined && !entry.shape.definitionHash.equals(home.definitionHash)) {
    throw new RejectionError("ELECTION_EXISTS", `this shard holds another definition of "${home.electionId}"`);
  }
  const state = entry?.state ?? ElectionState.UNSPECIFIED;
  const steps: ControlStep[] = [];
  if (entry === undefined) steps.push(defineStep(book, home));
  if (state < ElectionState.OPEN && home.wantedState === ElectionState.OPEN) {
    steps.push(stateStep(home.electionId, ElectionState.OPEN, home.requestedBy));
  }
  if (state < ElectionState.CLOSED && home.wantedState === ElectionState.CLOSED) {
    steps.push(stateStep(home.electionId, ElectionState.CLOSED, home.requestedBy));
  }
  return steps;
}

/**
 * Commits an election at its home. Throws RejectionError: ELECTION_EXISTS for another definition, UNKNOWN_ELECTION for a
 * change of none, ELECTION_CLOSED for opening what is closed.
 */
export function homeSteps(book: ElectionBook, change: HomeChange): ControlStep[] {
  const present = book.home(change.electionId);
  if (change.record !== undefined) {
    if (present === undefined) return [homeStep(change.record)];
    if (present.definitionHash.equals(change.record.definitionHash)) return [];
    throw new RejectionError("ELECTION_EXISTS", `the election "${change.electionId}" exists with another definition`);
  }
  if (present === undefined)
    throw new RejectionError("UNKNOWN_ELECTION", `no election has the id "${change.electionId}"`);
  if (change.wantedState < present.wantedState) {
    throw new RejectionError("ELECTION_CLOSED", `the election "${change.electionId}" is closed; it cannot open again`);
  }
  if (change.wantedState === present.wantedState) return [];
  return [homeStep({ ...present, wantedState: change.wantedState, requestedBy: change.requestedBy })];
}

export type HomeChange = {
  readonly electionId: string;
  /** To create; otherwise the state changes. */
  readonly record: HomeRecord | undefined;
  readonly wantedState: ElectionState;
  readonly requestedBy: string;
};

/** Elections whose time to open or to close has come at this stamp. */
export function dueSteps(book: ElectionBook, stampMs: number): ControlStep[] {
  const steps: ControlStep[] = [];
  for (const entry of book.entries()) {
    const due = dueState(entry, stampMs);
    if (due === undefined) continue;
    steps.push(stateStep(entry.id, due, "schedule"));
    const home = book.home(entry.id);
    if (home !== undefined && home.wantedState < due) {
      steps.push(homeStep({ ...home, wantedState: due, requestedBy: "schedule" }));
    }
  }
  return steps;
}

function dueState(entry: ElectionEntry, stampMs: number): ElectionState.OPEN | ElectionState.CLOSED | undefined {
  if (entry.state === ElectionState.CLOSED) return undefined;
  if (entry.closesAtMs !== undefined && entry.closesAtMs <= stampMs) return ElectionState.CLOSED;
  if (entry.state === ElectionState.OPEN) return undefined;
  return entry.opensAtMs !== undefined && entry.opensAtMs <= stampMs ? ElectionState.OPEN : undefined;
}

function defineStep(book: ElectionBook, home: HomeRecord): ControlStep {
  const shape = electionShape(fromBinary(ElectionDefinitionSchema, home.definition));
  const entry = new ElectionEntry(book.nextNumber(), shape, home.wrappedKey);
  return {
    text: "SELECT urna.define_election($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    values: [home.electionId, home.definition, home.definitionHash, home.wrappedKey, ...reportNames(shape)],
    needsBatch: true,
    audit: { action: "define", election: home.electionId, by: home.requestedBy },
    apply: (target) => target.add(entry),
  };
}

/** Region ids by ordinal; then kind, contest and option by cell: what reports in SQL call them. */
function reportNames({ leaves, cellMeanings }: ElectionShape): readonly (readonly (string | null)[])[] {
  return [
    leaves,
    cellMeanings.map((cell) => cell.kind),
    cellMeanings.map((cell) => (cell.kind === "ballots" ? null : cell.contestId)),
    cellMeanings.map((cell) => (cell.kind === "option" ? cell.optionId : null)),
  ];
}

function stateStep(electionId: string, state: ElectionState.OPEN | ElectionState.CLOSED, by: string): ControlStep {
  return {
    text: "SELECT urna.set_election_state($1, $2, $3)",
    values: [electionId, state],
    needsBatch: true,
    audit: { action: state === ElectionState.OPEN ? "open" : "close", election: electionId, by },
    apply: (book, batch) => {
      const entry = book.entry(electionId);
      if (entry === undefined) throw new Error(`a control batch changed "${electionId}", which is not in the book`);
      entry.state = state;
      if (state === ElectionState.OPEN) entry.openBatch = batch;
      else entry.closeBatch = batch;
    },
  };
}

/** The log goes on after a loss, under the name of this generation. */
export function generationStep(generation: number, by: string): ControlStep {
  return {
    text: "SELECT urna.begin_generation($1)",
    values: [generation],
    needsBatch: false,
    afterHead: true,
    audit: { action: "accept-loss", election: "", by },
    apply: () => {},
  };
}

function homeStep(record: HomeRecord): ControlStep {
  return {
    text: "SELECT urna.put_home_election($1, $2, $3, $4, $5, $6, $7)",
    values: [
      record.electionId,
      record.definition,
      record.definitionHash,
      record.wrappedKey,
      record.wantedState,
      new Date(record.createdAtMs),
      record.requestedBy,
    ],
    needsBatch: false,
    audit: {
      action: `want-${ElectionState[record.wantedState].toLowerCase()}`,
      election: record.electionId,
      by: record.requestedBy,
    },
    apply: (book) => book.putHome(record),
  };
}
