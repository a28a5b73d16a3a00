/**
 * What auditors reported, and what the witness found, as the next frame shows it. An auditor's word is shown, not believed,
 * and is worth something only while it is fresh: those that report count before those that fell silent, and when none is
 * left the last word stays, marked with the time since when.
 */
import { RejectionError } from "#proto/rejections.ts";
import type { Clock } from "./shard-reading.ts";

export type AuditReport = {
  /** Tells auditors apart. */
  readonly auditor: string;
  /** By shard: the batch through which all was checked. */
  readonly verified: ReadonlyMap<number, bigint>;
  readonly findings: readonly string[];
};

/** Nothing in it changes. */
export type AuditView = {
  /** By shard, in their order; not yet cut to what the tally has read. */
  readonly verified: ReadonlyMap<number, bigint>;
  readonly findings: readonly string[];
  /** Unix time in milliseconds of the last report, once none is fresh; undefined too when there never was one. */
  readonly silentSinceMs: number | undefined;
};

export type AuditLimits = {
  /** How long a report is fresh. */
  readonly silenceMs: number;
  readonly auditorsMax: number;
};

export const noAudit: AuditView = { verified: new Map(), findings: [], silentSinceMs: undefined };

type Heard = AuditReport & { readonly atMs: number; readonly wallMs: number };

export class AuditBoard {
  readonly #limits: AuditLimits;
  readonly #clock: Clock;
  readonly #ownFindings: () => readonly string[];
  /** Longest unheard first. */
  readonly #reports = new Map<string, Heard>();
  #view: AuditView = noAudit;

  /** `ownFindings` is what the tally itself found. */
  constructor(limits: AuditLimits, clock: Clock, ownFindings: () => readonly string[]) {
    this.#limits = limits;
    this.#clock = clock;
    this.#ownFindings = ownFindings;
  }

  /** Replaces what this auditor said before. Throws OVERLOADED when there are too many others that are not silent. */
  report(report: AuditReport): void {
    const [oldest] = this.#reports.values();
    if (!this.#reports.has(report.auditor) && oldest !== undefined && this.#reports.size >= this.#limits.auditorsMax) {
      if (this.#isFresh(oldest)) throw new RejectionError("OVERLOADED", "too many auditors report");
      this.#reports.delete(oldest.auditor);
    }
    this.#reports.delete(report.auditor);
    const heard = { ...report, atMs: this.#clock.monotonicMs(), wallMs: this.#clock.wallMs() };
    this.#reports.set(report.auditor, heard);
  }

  /** The same object until something changes, so that comparing two tells whether anything did. */
  view(): AuditView {
    const fresh = [...this.#reports.values()].filter((report) => this.#isFresh(report));
    const shown = fresh.length > 0 ? fresh : [...this.#reports.values()];
    const view: AuditView = {
      verified: furthest(shown),
      // What one auditor found is not undone by another that is clean, nor by its own silence.
      findings: [...this.#ownFindings(), ...new Set([...this.#reports.values()].flatMap(({ findings }) => findings))],
      silentSinceMs: fresh.length > 0 ? undefined : shown.at(-1)?.wallMs,
    };
    if (!isSame(view, this.#view)) this.#view = view;
    return this.#view;
  }

  #isFresh({ atMs }: Heard): boolean {
    return this.#clock.monotonicMs() - atMs < this.#limits.silenceMs;
  }
}

function furthest(reports: readonly AuditReport[]): Map<number, bigint> {
  const verified = new Map<number, bigint>();
  for (const report of reports) {
    for (const [shardId, batch] of report.verified) {
      if (batch > (verified.get(shardId) ?? -1n)) verified.set(shardId, batch);
    }
  }
  return new Map([...verified].sort(([a], [b]) => a - b));
}

function isSame(a: AuditView, b: AuditView): boolean {
  return (
    a.silentSinceMs === b.silentSinceMs &&
    a.findings.length === b.findings.length &&
    a.findings.every((finding, i) => finding === b.findings[i]) &&
    a.verified.size === b.verified.size &&
    [...a.verified].every(([shardId, batch]) => b.verified.get(shardId) === batch)
  );
}
