/**
 * Whether the elections of a shard were made, opened and closed where its log says so: a close that was moved would let votes
 * in that came too late (I10).
 */
import type { AuditedElection } from "./audited-election.ts";
import type { FindingBook } from "./finding-book.ts";

type Action = "open" | "close";

export class ControlCheck {
  readonly #shardId: number;
  readonly #findings: FindingBook;
  readonly #afterBatch: number;
  readonly #elections: ReadonlyMap<number, AuditedElection>;
  /** "open town" → batch */
  readonly #logged = new Map<string, number>();

  /** Of the batches after one. */
  constructor(
    shardId: number,
    findings: FindingBook,
    afterBatch: number,
    elections: ReadonlyMap<number, AuditedElection>,
  ) {
    this.#shardId = shardId;
    this.#findings = findings;
    this.#afterBatch = afterBatch;
    this.#elections = elections;
  }

  /** The control column of a batch. */
  note(batch: number, control: string): void {
    for (const { action, election } of stepsOf(control)) {
      if (action !== "open" && action !== "close") continue;
      const key = `${action} ${election}`;
      if (!this.#logged.has(key)) this.#logged.set(key, batch);
      else this.#found(election, batch, `the log has "${action}" of it a second time`);
    }
  }

  /** After the last batch. */
  finish(lastBatch: number): void {
    for (const { terms } of this.#elections.values()) {
      this.#compare("open", terms.electionId, terms.openBatch, lastBatch);
      this.#compare("close", terms.electionId, terms.closeBatch, lastBatch);
    }
  }

  #compare(action: Action, electionId: string, told: number, lastBatch: number): void {
    const logged = this.#logged.get(`${action} ${electionId}`) ?? 0;
    const isInside = told > this.#afterBatch && told <= lastBatch;
    if (isInside ? logged === told : logged === 0) return;
    const inLog = logged === 0 ? "the log does not" : `the log says in batch ${logged}`;
    this.#found(electionId, told, `its row says "${action}" in batch ${told} (0: never), ${inLog}`);
  }

  #found(electionId: string, batch: number, detail: string): void {
    this.#findings.add({ kind: "CONTROL_CHANGED", shardId: this.#shardId, batch, electionId, detail });
  }
}

type Step = { readonly action: string; readonly election: string };

/** What cannot be read is no step: then the election's row has no batch to agree with. */
function stepsOf(control: string): Step[] {
  const steps: unknown = parsed(control);
  if (!Array.isArray(steps)) return [];
  return steps.flatMap((step: unknown) => {
    if (typeof step !== "object" || step === null) return [];
    const { action, election } = step as Readonly<Record<string, unknown>>;
    return typeof action === "string" && typeof election === "string" ? [{ action, election }] : [];
  });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
