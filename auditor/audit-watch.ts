/**
 * An audit without end: all rows, again and again, and while that takes long, new rows in between. Findings are told as soon as
 * they are sure, and the tally hears every few seconds how far all is verified and what was found (I7, I8).
 */
import { setTimeout as delay } from "node:timers/promises";
import { CallError } from "#mesh/call-error.ts";
import { type Client, createClient } from "#mesh/grpc-client.ts";
import { WitnessService } from "#proto/generated/urna/v1/witness_service_pb.js";
import { auditFindingLengthMax, auditFindingsMax } from "#proto/limits.ts";
import { RejectionError } from "#proto/rejections.ts";
import { Audit, type AuditOptions } from "./audit.ts";
import { describeFinding, type Finding } from "./audit-finding.ts";
import { type AuditReport, verifiedThrough } from "./audit-report.ts";
import { StandbyError } from "./standby-session.ts";

export type WatchOptions = Omit<AuditOptions, "onFinding"> & {
  /** Tells auditors apart. */
  readonly auditor: string;
  /** After each pass over all rows, or over new ones. */
  readonly onReport: (report: AuditReport, view: WatchView) => void;
  /** Once a finding, until it has been gone for a whole pass. */
  readonly onFinding: (finding: Finding) => void;
  /** What stands in the way for now; it is tried again. */
  readonly onTrouble: (trouble: string) => void;
};

/** What is known by now. */
export type WatchView = {
  /** By shard: the batch through which all was verified when it was last clean. */
  readonly verified: ReadonlyMap<number, number>;
  readonly findings: readonly Finding[];
};

/** How often new rows are read, and the tally is told, while a pass over all rows goes on. */
const tickMs = 2_000;
/** Between two passes over all rows. */
const pauseMs = 500;
/** Before a standby that was away is tried again. */
const retryMs = 1_000;
const reportLimitMs = 2_000;

export class AuditWatch {
  readonly #options: WatchOptions;
  readonly #audit: Audit;
  readonly #tally: Client<typeof WitnessService> | undefined;
  readonly #verified = new Map<number, number>();
  /** By their text: those of the last whole pass, and those that came since. */
  #before = new Map<string, Finding>();
  #since = new Map<string, Finding>();
  #everFound = false;

  /** Throws LedgerFormatError when a verifier key is none, or of no shard. */
  constructor(options: WatchOptions) {
    this.#options = options;
    this.#audit = new Audit({ ...options, onFinding: (finding) => this.#note(finding) });
    const { tally, identity } = options.services;
    this.#tally = tally === undefined ? undefined : createClient(WitnessService, tally, identity);
  }

  get view(): WatchView {
    const findings = [...new Map([...this.#before, ...this.#since]).values()];
    return { verified: this.#verified, findings };
  }

  /** Until the signal aborts. Answers whether nothing was found all the time. */
  async run(): Promise<boolean> {
    const { signal } = this.#options;
    try {
      while (!signal.aborted) {
        await this.#round();
        await delay(pauseMs, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      this.#tally?.close();
    }
    return !this.#everFound;
  }

  /** One pass over all rows, with what happens meanwhile. */
  async #round(): Promise<void> {
    const whole = this.#try(() => this.#audit.readAll());
    let report: AuditReport | undefined | "under way" = "under way";
    while (report === "under way") {
      // Not bound to the signal: a wait that ends at once would spin until the pass has ended too.
      const tick = delay(tickMs, "under way" as const, { ref: false });
      report = await Promise.race([whole, tick]);
      if (report !== "under way") break;
      if (this.#audit.canReadNew) this.#conclude(await this.#try(() => this.#audit.readNew()));
      await this.#tellTally();
    }
    if (report === undefined) {
      await delay(retryMs, undefined, { signal: this.#options.signal }).catch(() => undefined);
      return;
    }
    this.#before = this.#since;
    this.#since = new Map();
    this.#conclude(report);
    await this.#tellTally();
  }

  #conclude(report: AuditReport | undefined): void {
    if (report === undefined) return;
    for (const { shardId, batch } of verifiedThrough(report)) {
      this.#verified.set(shardId, Math.max(batch, this.#verified.get(shardId) ?? 0));
    }
    this.#options.onReport(report, this.view);
  }

  #note(finding: Finding): void {
    const text = describeFinding(finding);
    const isNew = !this.#before.has(text) && !this.#since.has(text);
    this.#since.set(text, finding);
    if (!isNew) return;
    this.#everFound = true;
    this.#options.onFinding(finding);
    void this.#tellTally();
  }

  /** Undefined when a standby was away, or the watch is to end. */
  async #try(pass: () => Promise<AuditReport>): Promise<AuditReport | undefined> {
    try {
      return await pass();
    } catch (error) {
      if (this.#options.signal.aborted) return undefined;
      if (!isTrouble(error)) throw error;
      this.#options.onTrouble(error.message);
      return undefined;
    }
  }

  async #tellTally(): Promise<void> {
    const { auditor, signal } = this.#options;
    if (this.#tally === undefined || signal.aborted) return;
    const { verified, findings } = this.view;
    const request = {
      auditor,
      verified: [...verified].map(([shardId, batch]) => ({ shardId, batch: BigInt(batch) })),
      findings: findings.slice(0, auditFindingsMax).map((finding) => findingText(finding)),
    };
    try {
      await this.#tally.reportVerified(request, { deadlineMs: reportLimitMs, signal });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof CallError) && !(error instanceof RejectionError)) throw error;
      this.#options.onTrouble(`the tally could not be told: ${error.message}`);
    }
  }
}

function findingText(finding: Finding): string {
  return `${finding.kind}: ${describeFinding(finding)}`.slice(0, auditFindingLengthMax);
}

/** Of Postgres, errors that carry a SQLSTATE or the code of a socket; they pass, or are told for ever. */
function isTrouble(error: unknown): error is Error {
  return error instanceof StandbyError || (error instanceof Error && "code" in error);
}
