/**
 * The independent checker: reads every shard's Postgres itself and compares it with the ledger of acknowledgements, with
 * the standbys and with the tally. It runs after healing, when nothing is under way, and after every unknown outcome was
 * retried. It imports nothing of the services that it checks.
 *
 *   checker-shard.ts    what a shard's database holds
 *   checker-ballots.ts  ballots, nullifiers and slots, read from the contract once more
 *   checker-log.ts      a shard against itself: A5, A6, I10
 *   checker-votes.ts    all shards against the ledger: A1, A2, A3, A4, A7
 *   checker-copies.ts   the standby, and what must not be left behind: A6, A8, A9
 *   checker-tally.ts    the tally: A5
 */
import type { ShardDatabases } from "#bench/checker-copies.ts";
import { checkNothingLeftBehind, checkStandbyEquals } from "#bench/checker-copies.ts";
import { Findings } from "#bench/checker-findings.ts";
import { checkLog } from "#bench/checker-log.ts";
import type { ShardState } from "#bench/checker-shard.ts";
import { readShard } from "#bench/checker-shard.ts";
import { checkTallySnapshot } from "#bench/checker-tally.ts";
import { checkVotes } from "#bench/checker-votes.ts";
import type { TallySnapshot } from "#bench/tally-check.ts";
import type { VoteLedger } from "#bench/vote-ledger.ts";

export type { ShardDatabases } from "#bench/checker-copies.ts";
export { isFlushedOnStandby } from "#bench/checker-copies.ts";

/** A stretch of the test in which votes must have been acknowledged, on the clock of performance.now(). */
export type Phase = {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly acknowledgedMin: number;
};

/** Something that the test did, and whether it saw it happen (a process ended, a timeline changed). */
export type WitnessedFault = { readonly name: string; readonly happened: boolean };

export type CheckOptions = {
  readonly databases: readonly ShardDatabases[];
  /** The 32 bytes under which election keys are wrapped. */
  readonly routerKey: Uint8Array;
  /** Everything that was sent in the elections that it names. */
  readonly ledger: VoteLedger;
  /** By election id. */
  readonly tallies?: ReadonlyMap<string, TallySnapshot>;
  readonly phases?: readonly Phase[];
  readonly faults?: readonly WitnessedFault[];
};

export type CheckReport = {
  /** "A1: …"; empty when everything holds. */
  readonly findings: readonly string[];
  readonly rows: number;
  readonly acknowledged: number;
  readonly shards: readonly ShardState[];
};

export async function checkCluster(options: CheckOptions): Promise<CheckReport> {
  const { databases, ledger, routerKey, tallies = new Map() } = options;
  const findings = new Findings();
  const shards = await Promise.all(databases.map(({ primaryUrl }) => readShard(primaryUrl)));
  for (const [i, { shardId }] of databases.entries()) {
    findings.demand("A7", shards[i]?.shardId === shardId, () => `the database of shard ${shardId} is another's`);
  }
  for (const shard of shards) checkLog(findings, shard);
  checkVotes(findings, shards, ledger, routerKey);
  for (const [electionId, snapshot] of tallies) checkTallySnapshot(findings, shards, electionId, snapshot);
  for (const [i, database] of databases.entries()) {
    await checkStandbyEquals(findings, database, shards[i]?.batchNumber ?? 0);
    await checkNothingLeftBehind(findings, database);
  }
  checkNotVacuous(findings, options);
  return {
    findings: findings.lines(),
    rows: shards.reduce((sum, { votes }) => sum + votes.length, 0),
    acknowledged: ledger.acknowledged,
    shards,
  };
}

function checkNotVacuous(findings: Findings, { ledger, phases = [], faults = [] }: CheckOptions): void {
  findings.demand("A10", ledger.acknowledged > 0, () => "nothing was acknowledged");
  for (const { name, fromMs, toMs, acknowledgedMin } of phases) {
    const within = ledger.entries.filter(
      ({ outcome, toldAtMs }) => "receipt" in outcome && toldAtMs >= fromMs && toldAtMs < toMs,
    ).length;
    findings.demand("A10", within >= acknowledgedMin, () => `${name}: ${within} acknowledged, not ${acknowledgedMin}`);
  }
  for (const { name, happened } of faults) findings.demand("A10", happened, () => `${name} did not happen`);
}
