/**
 * A failure story of a whole cluster: elections, votes with a ledger of acknowledgements, kills, and at the end the
 * independent checker.
 *
 *   await using story = await Story.start({ shards: 2, routers: 2 });
 *   await story.election("town");
 *   const storm = story.storm("town");
 *   await storm.untilMore(500);
 *   await story.kill("router-0");
 *   await storm.untilMore(500);
 *   await storm.stop();
 *   await story.expectTally("town");
 *   expect(await story.check()).toEqual([]);
 */
import { readFile } from "node:fs/promises";
import type pg from "pg";
import type { WitnessedFault } from "#bench/checker.ts";
import { checkCluster } from "#bench/checker.ts";
import { withSession } from "#bench/checker-shard.ts";
import { StoryCaster } from "#bench/story-caster.ts";
import type { DefinitionChange } from "#bench/story-election.ts";
import { storyDefinition, storyVote } from "#bench/story-election.ts";
import type { StormOptions } from "#bench/story-storm.ts";
import { Storm } from "#bench/story-storm.ts";
import {
  acknowledgedCounts,
  answerOrNothing,
  recountOf,
  snapshotOrNothing,
  talliedCounts,
} from "#bench/story-tally.ts";
import type { TallySnapshot } from "#bench/tally-check.ts";
import type { SentVote } from "#bench/vote-ledger.ts";
import { VoteLedger } from "#bench/vote-ledger.ts";
import type { EmbeddedClusterOptions } from "#deploy/embedded-cluster.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";

const reachedLimitMs = 30_000;

export class Story implements AsyncDisposable {
  readonly cluster: EmbeddedCluster;
  readonly ledger = new VoteLedger();
  readonly caster: StoryCaster;
  /** What the supervisors have said, with the time by performance.now(). */
  readonly said: readonly { readonly atMs: number; readonly line: string }[];
  readonly elections: readonly Client<typeof ElectionService>[];
  readonly tallies: readonly Client<typeof TallyService>[];
  readonly #environments: Map<string, Readonly<Record<string, string>>>;
  readonly #faults: WitnessedFault[] = [];
  readonly #voters = new Map<string, number>();

  private constructor(
    cluster: EmbeddedCluster,
    said: Story["said"],
    environments: Map<string, Readonly<Record<string, string>>>,
  ) {
    this.cluster = cluster;
    this.said = said;
    this.#environments = environments;
    this.caster = new StoryCaster(this.routers, this.ledger, cluster.identity);
    this.elections = this.routers.map((address) => createClient(ElectionService, address, cluster.identity));
    this.tallies = this.routers.map((address) => createClient(TallyService, address, cluster.identity));
  }

  static async start(options: EmbeddedClusterOptions = {}): Promise<Story> {
    const said: { atMs: number; line: string }[] = [];
    const environments = new Map<string, Readonly<Record<string, string>>>();
    const cluster = await EmbeddedCluster.start({
      portBase: 0,
      sharedBuffersMb: 64,
      log: (line) => said.push({ atMs: performance.now(), line }),
      environment: (name) => environments.get(name) ?? {},
      ...options,
    });
    return new Story(cluster, said, environments);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.caster.close();
    for (const client of [...this.elections, ...this.tallies]) client.close();
    await this.cluster.stop();
  }

  get routers(): string[] {
    return this.cluster.endpoints.routers.map(({ grpc }) => grpc);
  }

  /** Headers of a call that changes an election. */
  get admin(): { headers: Record<string, string> } {
    return { headers: { authorization: `Bearer ${this.cluster.adminToken()}` } };
  }

  /** Creates and opens an election, with patience for a router that has just been started again. */
  async election(electionId: string, change: DefinitionChange = {}): Promise<void> {
    const client = this.electionsAt(0);
    const definition = storyDefinition(electionId, change);
    await waitFor(`${electionId} to be created`, reachedLimitMs, () =>
      answerOrNothing(client.createElection({ definition }, this.admin)),
    );
    await waitFor(`${electionId} to open`, reachedLimitMs, () =>
      answerOrNothing(client.openElection({ electionId }, this.admin)),
    );
  }

  electionsAt(router: number): Client<typeof ElectionService> {
    return this.elections[router % this.elections.length] as Client<typeof ElectionService>;
  }

  talliesAt(router: number): Client<typeof TallyService> {
    return this.tallies[router % this.tallies.length] as Client<typeof TallyService>;
  }

  /** Voters of the election who have not voted yet. */
  votes(electionId: string, n: number): SentVote[] {
    return Array.from({ length: n }, () => storyVote(electionId, this.#nextVoter(electionId)));
  }

  /** Casts so many new votes, each until it is settled; throws unless all are recorded. */
  async cast(electionId: string, n: number): Promise<SentVote[]> {
    const votes = this.votes(electionId, n);
    const told = await this.caster.castUntilSettled(votes);
    const other = told.find(({ kind }) => kind !== "recorded" && kind !== "repeat");
    if (other !== undefined) throw new Error(`a vote was not recorded: ${JSON.stringify(other)}`);
    return votes;
  }

  storm(electionId: string, options: Pick<StormOptions, "workers" | "batchVotes" | "patienceMs"> = {}): Storm {
    const nextVoter = () => this.#nextVoter(electionId);
    return new Storm({ caster: this.caster, electionId, nextVoter, ...options });
  }

  /** Kills with SIGKILL, and resolves when the supervisor has started it again. */
  async kill(name: string): Promise<void> {
    const before = this.cluster.pid(name);
    await this.cluster.kill(name);
    await this.cluster.untilRestarted(name, before);
    this.witness(`the kill of ${name}`, before !== 0 && this.cluster.pid(name) !== before);
  }

  /** No commit of the shard ends any more: the process that takes the standby's WAL stands still. Answers how to go on. */
  async freezeStandby(shardId: number): Promise<() => void> {
    const query = "SELECT pid FROM pg_stat_wal_receiver";
    const url = this.cluster.ownerUrl(shardId, "standby");
    const { rows } = await withSession(url, (client) => client.query<{ pid: number }>(query));
    const pid = rows[0]?.pid;
    if (pid === undefined) throw new Error(`the standby of shard ${shardId} receives no WAL`);
    process.kill(pid, "SIGSTOP");
    return () => {
      try {
        process.kill(pid, "SIGCONT");
      } catch {
        // Postgres has ended the receiver meanwhile, or the story has thawed it already.
      }
    };
  }

  /** Notes for the checker whether a fault really happened (A10). */
  witness(name: string, happened: boolean): void {
    this.#faults.push({ name, happened });
  }

  /** Starts the process anew with this in its environment. */
  async restartWith(name: string, environment: Readonly<Record<string, string>>): Promise<void> {
    this.#environments.set(name, environment);
    await this.cluster.restartProcess(name);
    await this.healed();
  }

  /** Resolves when every part serves and every standby is synchronous. */
  async healed(): Promise<void> {
    await this.cluster.waitUntilServing();
    for (let shard = 0; shard < this.cluster.shards; shard++) await this.cluster.untilSynchronous(shard);
  }

  /** Waits until the tally shows exactly what was acknowledged; then the recount must agree. Throws otherwise. */
  async expectTally(electionId: string, { final = false } = {}): Promise<TallySnapshot> {
    const expected = acknowledgedCounts(this.ledger, electionId);
    let seen: TallySnapshot | undefined;
    const snapshot = await waitFor(`the tally of ${electionId}`, reachedLimitMs, async () => {
      seen = (await snapshotOrNothing(this.talliesAt(0), electionId)) ?? seen;
      if (seen === undefined || seen.cut.missing.length > 0 || seen.cut.final !== final) return undefined;
      return sameCounts(talliedCounts(seen.precincts), expected) ? seen : undefined;
    }).catch((error: unknown) => {
      const tallied = seen === undefined ? {} : Object.fromEntries(talliedCounts(seen.precincts));
      const told = JSON.stringify({ tallied, acknowledged: Object.fromEntries(expected), final: seen?.cut.final });
      throw new Error(`${error instanceof Error ? error.message : error}: ${told}`);
    });
    const { matches, differences } = await recountOf(this.talliesAt(0), electionId);
    if (!matches) throw new Error(`the recount of ${electionId} differs: ${differences.map(describe).join("; ")}`);
    return snapshot;
  }

  /** What the independent checker finds wrong; empty when everything holds. */
  async check(): Promise<readonly string[]> {
    await this.healed();
    const tallies = new Map<string, TallySnapshot>();
    for (const electionId of new Set(this.ledger.entries.map(({ vote }) => vote.electionId))) {
      const ask = () => snapshotOrNothing(this.talliesAt(0), electionId);
      tallies.set(electionId, await waitFor(`the tally of ${electionId}`, reachedLimitMs, ask));
    }
    const routerKey = await readFile(this.cluster.paths.routerKeyFile);
    const databases = this.cluster.endpoints.shards.map(({ id }) => ({
      shardId: id,
      primaryUrl: this.cluster.ownerUrl(id),
      standbyUrl: this.cluster.ownerUrl(id, "standby"),
    }));
    const report = await checkCluster({ databases, routerKey, ledger: this.ledger, tallies, faults: this.#faults });
    return report.findings;
  }

  /** As superuser, behind everybody's back. */
  async sql<Row extends pg.QueryResultRow>(shardId: number, text: string, values: unknown[] = []): Promise<Row[]> {
    return withSession(this.cluster.ownerUrl(shardId), async (client) => (await client.query<Row>(text, values)).rows);
  }

  #nextVoter(electionId: string): number {
    const n = this.#voters.get(electionId) ?? 0;
    this.#voters.set(electionId, n + 1);
    return n;
  }
}

function sameCounts(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([key, n]) => b.get(key) === n);
}

type Difference = {
  shardId: number;
  regionId: string;
  contestId: string;
  optionId: string;
  tally: bigint;
  rows: bigint;
};

/** "shard 1, north/ward-1, mayor ada: 5 in the tally, 4 rows" */
export function describe({ shardId, regionId, contestId, optionId, tally, rows }: Difference): string {
  const what = contestId === "" ? "ballots" : `${contestId} ${optionId === "" ? "undervotes" : optionId}`;
  return `shard ${shardId}, ${regionId}, ${what}: ${tally} in the tally, ${rows} rows`;
}
