/** What the rows of one batch count, kind by kind, and whether the batch says so too (I5). */
import type { CellMeaning } from "#proto/election-shape.ts";
import type { AuditedElection } from "./audited-election.ts";
import type { BallotKind } from "./ballot-kind.ts";
import type { StoredCounts } from "./stored-batch.ts";

export type CountDifference = {
  readonly electionId: string;
  /** What is counted, and where: "north/ward-1, mayor: ada". */
  readonly what: string;
  readonly logged: number;
  readonly rows: number;
};

/** Sums by place: region * cells + cell. */
type Sums = Map<number, number>;

export class BatchCounts {
  readonly #kinds: BallotKind[] = [];

  add(kind: BallotKind): void {
    if (kind.votes === 0) this.#kinds.push(kind);
    kind.votes += 1;
  }

  /** The sums of all that was added, which is forgotten with this. Each election's totals grow by them. */
  take(batch: number): Map<AuditedElection, Sums> {
    const sums = new Map<AuditedElection, Sums>();
    for (const kind of this.#kinds) {
      const ofElection = sums.get(kind.election) ?? new Map<number, number>();
      sums.set(kind.election, ofElection);
      const start = kind.region * kind.election.cells;
      for (let i = 0; i < kind.cells.length; i++) {
        const place = start + (kind.cells[i] as number);
        ofElection.set(place, (ofElection.get(place) ?? 0) + (kind.n[i] as number) * kind.votes);
      }
      kind.votes = 0;
    }
    this.#kinds.length = 0;
    for (const [election, ofElection] of sums) addTotals(election, ofElection, batch);
    return sums;
  }
}

function addTotals(election: AuditedElection, sums: Sums, batch: number): void {
  const { cells, totals, tallied, tallyBatch } = election;
  for (const [place, n] of sums) {
    const cell = place % cells;
    totals.set(cell, (totals.get(cell) ?? 0) + n);
    if (batch <= tallyBatch) tallied.set(place, (tallied.get(place) ?? 0) + n);
  }
}

/** Where a batch's counts and the sums of its rows differ. Elections without a definition are left out: nobody can count them. */
export function differencesOf(
  counts: StoredCounts,
  sums: ReadonlyMap<AuditedElection, Sums>,
  elections: ReadonlyMap<number, AuditedElection>,
): CountDifference[] {
  const differences: CountDifference[] = [];
  const left = new Map([...sums].map(([election, ofElection]) => [election, new Map(ofElection)]));
  const logged = new Map<AuditedElection, Sums>();
  for (let i = 0; i < counts.n.length; i++) {
    const [number, region, cell, n] = [counts.elections[i], counts.regions[i], counts.cells[i], counts.n[i]];
    const election = elections.get(number as number);
    if (election !== undefined && election.terms.shape === undefined) continue;
    if (election === undefined || !isPlace(election, region as number, cell as number)) {
      const what = `region ${region}, cell ${cell}`;
      differences.push({
        electionId: election?.terms.electionId ?? `number ${number}`,
        what,
        logged: n as number,
        rows: 0,
      });
      continue;
    }
    subtract(election, (region as number) * election.cells + (cell as number), n as number, left, logged);
  }
  for (const [election, ofElection] of left) {
    for (const [place, n] of ofElection) {
      if (n === 0) continue;
      const told = logged.get(election)?.get(place) ?? 0;
      differences.push({
        electionId: election.terms.electionId,
        what: placeName(election, place),
        logged: told,
        rows: told + n,
      });
    }
  }
  return differences;
}

function subtract(
  election: AuditedElection,
  place: number,
  n: number,
  left: Map<AuditedElection, Sums>,
  logged: Map<AuditedElection, Sums>,
): void {
  const ofElection = left.get(election) ?? new Map<number, number>();
  left.set(election, ofElection);
  const rest = (ofElection.get(place) ?? 0) - n;
  if (rest === 0) {
    ofElection.delete(place);
    return;
  }
  ofElection.set(place, rest);
  const told = logged.get(election) ?? new Map<number, number>();
  logged.set(election, told.set(place, (told.get(place) ?? 0) + n));
}

function isPlace({ terms, cells }: AuditedElection, region: number, cell: number): boolean {
  return region >= 0 && region < (terms.shape?.leaves.length ?? 0) && cell >= 0 && cell < cells;
}

/** "north/ward-1, mayor: ada" */
export function placeName({ terms, cells }: AuditedElection, place: number): string {
  const region = terms.shape?.leaves[Math.floor(place / cells)] ?? "?";
  return `${region}, ${cellName(terms.shape?.cellMeanings[place % cells])}`;
}

export function cellName(meaning: CellMeaning | undefined): string {
  if (meaning === undefined) return "?";
  if (meaning.kind === "ballots") return "ballots";
  return `${meaning.contestId}: ${meaning.kind === "option" ? meaning.optionId : "undervotes"}`;
}
