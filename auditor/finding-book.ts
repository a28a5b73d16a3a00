/** The findings of one audit. Of each kind the first few are kept: a forger may leave millions, and memory is bounded. */
import type { Finding, FindingKind } from "./audit-finding.ts";

/** Findings of one kind on one shard that are kept. */
export const findingsKeptMax = 100;

export class FindingBook {
  readonly #onFinding: (finding: Finding) => void;
  readonly #kept: Finding[] = [];
  readonly #counts = new Map<string, number>();
  #count = 0;

  /** `onFinding` hears at once of each finding that is kept. */
  constructor(onFinding: (finding: Finding) => void = () => {}) {
    this.#onFinding = onFinding;
  }

  add(finding: Finding): void {
    const key = `${finding.kind} ${finding.shardId}`;
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    this.#count += 1;
    if (count > findingsKeptMax) return;
    this.#kept.push(finding);
    this.#onFinding(finding);
  }

  demand(holds: boolean, finding: () => Finding): void {
    if (!holds) this.add(finding());
  }

  /** Those kept, in the order in which they were found. */
  get kept(): readonly Finding[] {
    return this.#kept;
  }

  /** All, also those that were not kept. */
  get count(): number {
    return this.#count;
  }

  countOf(kind: FindingKind, shardId: number): number {
    return this.#counts.get(`${kind} ${shardId}`) ?? 0;
  }
}
