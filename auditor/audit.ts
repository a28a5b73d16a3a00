/**
 * The independent audit: an account of every shard, taken on the standbys, against what is known outside the databases. It shares
 * with the services what two programs must agree on (proto/), and believes them nothing: what they serve is signed, or is what
 * is being checked.
 *
 *   shard-target       what each shard's database says of itself
 *   outside-word       what the services say: tallies, keys, checkpoints, results
 *   witness-roster     the keys that are trusted, and all that was signed with them; audit-state remembers it
 *   definition-pool    which definition an election was voted on
 *   shard-run          the pass over a shard; see shard-audit
 *   audit-conclusions  voters, slots, tallies and results over all shards
 */

import { concludeSlots, concludeTotals, concludeVoters } from "./audit-conclusions.ts";
import type { Finding } from "./audit-finding.ts";
import type { AuditReport, ShardReport } from "./audit-report.ts";
import { readAuditState, writeAuditState } from "./audit-state.ts";
import { DefinitionPool } from "./definition-pool.ts";
import { ElectionKeys } from "./election-keys.ts";
import { FindingBook } from "./finding-book.ts";
import { askOutside, type OutsideWord, type Services } from "./outside-word.ts";
import { type Resume, TableRewrittenError } from "./shard-audit.ts";
import { runShard, type ShardOutcome, type ShardRunOptions } from "./shard-run.ts";
import { type ShardSketch, type ShardTarget, sketchShard } from "./shard-target.ts";
import { sha256 } from "./stored-shard.ts";
import { VoterIndex } from "./voter-index.ts";
import { keysByShard, WitnessRoster } from "./witness-roster.ts";

export type AuditProgress = { readonly shardId: number; readonly leaves: number; readonly allLeaves: number };

export type AuditOptions = {
  readonly targets: readonly ShardTarget[];
  readonly services: Services;
  /** Whose tallies and results are compared; undefined: all. Every row of every election is read in any case. */
  readonly elections: readonly string[] | undefined;
  readonly stateFile: string;
  readonly verifierKeys: readonly string[];
  readonly tilesHeldMax?: number | undefined;
  readonly voterMemoryBytesMax?: number | undefined;
  readonly onProgress: (progress: AuditProgress) => void;
  /** Hears of a finding as soon as it is sure; a pass that is begun anew may tell it again. */
  readonly onFinding?: ((finding: Finding) => void) | undefined;
  readonly signal: AbortSignal;
};

/** An election was asked for that no shard knows. */
export class UnknownElectionError extends Error {}

/** How often a pass is begun anew when a table was rewritten meanwhile, or a standby had to cancel a query. */
const attemptsMax = 3;
/** SQLSTATE of a query that stood in the way of a standby's replay. */
const replayConflict = "40001";

type PassParts = Pick<ShardRunOptions, "findings" | "carriedHashes" | "pool" | "voters"> & {
  readonly sketches: readonly ShardSketch[];
  readonly word: OutsideWord;
  readonly roster: WitnessRoster;
  readonly keys: ElectionKeys;
  readonly resumes: ReadonlyMap<number, Resume> | undefined;
};

export class Audit {
  readonly #options: AuditOptions;
  readonly #given: ReadonlyMap<number, string>;
  #resumes: ReadonlyMap<number, Resume> = new Map();
  #saving: Promise<void> = Promise.resolve();

  /** Throws LedgerFormatError when a verifier key is none, or of no shard. */
  constructor(options: AuditOptions) {
    this.#options = options;
    this.#given = keysByShard(options.verifierKeys);
  }

  /**
   * Reads everything. Throws StandbyError when a standby cannot be read, AuditStateError when the state file cannot, and
   * UnknownElectionError.
   */
  async readAll(): Promise<AuditReport> {
    return await this.#attempted(undefined);
  }

  /** Whether there are shards of which `readNew` can read on. */
  get canReadNew(): boolean {
    return this.#resumes.size > 0;
  }

  /** Reads what was added since, on shards of which nothing was wrong: rows, leaves, roots and counts; no tallies. */
  async readNew(): Promise<AuditReport> {
    return await this.#attempted(this.#resumes);
  }

  async #attempted(resumes: ReadonlyMap<number, Resume> | undefined): Promise<AuditReport> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pass(resumes);
      } catch (error) {
        if (attempt === attemptsMax || !mayPass(error)) throw error;
      }
    }
  }

  async #pass(resumes: ReadonlyMap<number, Resume> | undefined): Promise<AuditReport> {
    const { targets, services, stateFile, signal, voterMemoryBytesMax } = this.#options;
    const [startedMs, cpu] = [performance.now(), process.cpuUsage()];
    const findings = new FindingBook(this.#options.onFinding);
    const state = await readAuditState(stateFile);
    const sketches = await Promise.all(targets.map(sketchShard));
    const elections = resumes === undefined ? electionsIn(sketches, this.#options.elections) : [];
    const shardIds = targets.map(({ shardId }) => shardId);
    const word = await askOutside(services, { shardIds, elections: elections.map(questionsOf(sketches)) }, signal);
    const roster = new WitnessRoster(shardIds, this.#given, state, word, findings);
    using voters = resumes === undefined ? new VoterIndex(voterMemoryBytesMax) : undefined;
    const [keys, carriedHashes] = [new ElectionKeys(), new Map(state.definitions)];
    const pool = poolOf(sketches);
    const parts = { sketches, word, roster, pool, keys, carriedHashes, voters, findings, resumes };
    const outcomes = await this.#runShards(parts);
    checkHomes(sketches, carriedHashes, findings);
    concludeSlots(sketches, findings);
    if (voters !== undefined) concludeVoters(voters, keys, findings);
    concludeTotals(elections, word, roster, outcomes, findings);
    await this.#save(roster, carriedHashes);
    this.#resumes = resumesOf(outcomes, findings, this.#resumes);
    const { user, system } = process.cpuUsage(cpu);
    return {
      shards: outcomes.map((outcome) => shardReport(outcome, roster, findings)),
      elections,
      findings: findings.kept,
      findingCount: findings.count,
      gaps: word.gaps,
      newKeys: roster.newKeys,
      rows: outcomes.reduce((sum, { pass }) => sum + pass.rows, 0),
      seconds: (performance.now() - startedMs) / 1_000,
      cpuSeconds: (user + system) / 1e6,
    };
  }

  async #runShards({ sketches, word, roster, keys, resumes, ...parts }: PassParts): Promise<ShardOutcome[]> {
    const { targets, onProgress, signal, tilesHeldMax } = this.#options;
    const outcomes: ShardOutcome[] = [];
    for (const [i, target] of targets.entries()) {
      const { shardId } = target;
      const sketch = sketches[i];
      const resume = resumes?.get(shardId);
      if (sketch === undefined || (resumes !== undefined && resume === undefined)) continue;
      const outcome = await runShard({
        ...parts,
        target,
        sketch,
        witness: roster.of(shardId),
        tallies: word.tallies,
        electionKeyOf: (electionId) => keys.of(electionId),
        resume,
        tilesHeldMax,
        onProgress: (leaves, allLeaves) => onProgress({ shardId, leaves, allLeaves }),
        signal,
      });
      outcomes.push(outcome);
    }
    return outcomes;
  }

  /** One after the other, and on top of what the file has by then: passes may overlap. */
  #save(roster: WitnessRoster, carriedHashes: ReadonlyMap<string, string>): Promise<void> {
    const { stateFile } = this.#options;
    const save = async () => {
      const state = await readAuditState(stateFile);
      const definitions = new Map([...carriedHashes, ...state.definitions]);
      await writeAuditState(stateFile, { shards: roster.memories(state), definitions });
    };
    this.#saving = this.#saving.catch(() => {}).then(save);
    return this.#saving;
  }
}

function mayPass(error: unknown): boolean {
  if (error instanceof TableRewrittenError) return true;
  return error instanceof Error && "code" in error && error.code === replayConflict;
}

/** Throws UnknownElectionError for one that no shard has. */
function electionsIn(sketches: readonly ShardSketch[], wanted: readonly string[] | undefined): string[] {
  const known = new Set(sketches.flatMap(({ elections }) => elections.map(({ electionId }) => electionId)));
  if (wanted === undefined) return [...known].sort();
  const unknown = wanted.find((electionId) => !known.has(electionId));
  if (unknown !== undefined) throw new UnknownElectionError(`no shard has an election "${unknown}"`);
  return [...new Set(wanted)];
}

function questionsOf(sketches: readonly ShardSketch[]) {
  const stored = sketches.flatMap(({ elections }) => elections);
  return (electionId: string) => ({
    electionId,
    mayHaveClosed: stored.some((election) => election.electionId === electionId && election.closeBatch > 0),
  });
}

function poolOf(sketches: readonly ShardSketch[]): DefinitionPool {
  const pool = new DefinitionPool();
  for (const { elections, homeDefinitions } of sketches) {
    for (const stored of [...elections, ...homeDefinitions]) pool.add(stored);
  }
  return pool;
}

/** What an election's home would give to others is what was voted on. */
function checkHomes(
  sketches: readonly ShardSketch[],
  carriedHashes: ReadonlyMap<string, string>,
  findings: FindingBook,
): void {
  for (const { shardId, homeDefinitions } of sketches) {
    for (const { electionId, definition, definitionHash } of homeDefinitions) {
      const carried = carriedHashes.get(electionId);
      if (carried === undefined) continue;
      const isSame = definitionHash.toString("hex") === carried && sha256(definition).toString("hex") === carried;
      const detail = `its home has another definition than the one of hash ${carried} that its leaves carry`;
      findings.demand(isSame, () => ({ kind: "DEFINITION_CHANGED", shardId, electionId, detail }));
    }
  }
}

/** Shards of which something is wrong are read whole the next time; of two passes that overlap, the one that came farther counts. */
function resumesOf(
  outcomes: readonly ShardOutcome[],
  findings: FindingBook,
  present: ReadonlyMap<number, Resume>,
): Map<number, Resume> {
  const resumes = new Map(present);
  for (const { shardId, pass } of outcomes) {
    const isClean = !findings.kept.some((finding) => finding.shardId === shardId);
    const known = resumes.get(shardId)?.start.number ?? -1;
    if (!isClean || pass.resume === undefined) resumes.delete(shardId);
    else if (pass.resume.start.number > known) resumes.set(shardId, pass.resume);
  }
  return resumes;
}

function shardReport({ shardId, end, pass }: ShardOutcome, roster: WitnessRoster, findings: FindingBook): ShardReport {
  const witness = roster.of(shardId);
  return {
    shardId,
    throughBatch: end.batch,
    leaves: end.leaves,
    signedLeaves: pass.signedLeaves,
    checkpoints: witness?.checkpointCount ?? 0,
    verifierKey: witness?.verifierKey,
    isClean: !findings.kept.some((finding) => finding.shardId === shardId),
  };
}
