/**
 * A whole cluster for a failure story: elections, replays, kills, and at the end the independent checker with the ledger
 * of everything that was sent.
 *
 *   await using scene = await ClusterScene.start();
 *   await scene.open(file.definition);
 *   await scene.replay(file, { at: { 0.3: () => scene.cluster.kill("router-0") } });
 *   expect(await scene.checkTally(file)).toMatchObject({ tallyMatchesFile: true });
 *   expect((await scene.check([file.electionId])).findings).toEqual([]);
 */
import { readFile } from "node:fs/promises";
import type { CheckReport, WitnessedFault } from "#bench/checker.ts";
import { checkCluster } from "#bench/checker.ts";
import type { ShardDatabases } from "#bench/checker-copies.ts";
import type { ElectionFile } from "#bench/election-file.ts";
import { FrameWitness } from "#bench/frame-witness.ts";
import type { ReplayOptions } from "#bench/replay.ts";
import { replay } from "#bench/replay.ts";
import type { ReplayReport } from "#bench/replay-account.ts";
import type { TallySnapshot, TallyVerdict } from "#bench/tally-check.ts";
import { checkTally, readSnapshot } from "#bench/tally-check.ts";
import { VoteLedger } from "#bench/vote-ledger.ts";
import type { EmbeddedClusterOptions } from "#deploy/embedded-cluster.ts";
import { EmbeddedCluster } from "#deploy/embedded-cluster.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { ElectionDefinition } from "#proto/generated/urna/v1/election_pb.js";
import { ElectionService } from "#proto/generated/urna/v1/election_service_pb.js";
import { TallyService } from "#proto/generated/urna/v1/tally_service_pb.js";

export type SceneReplayOptions = Omit<ReplayOptions, "routers" | "file" | "onSettled"> & {
  /** What to do when this part (0 to 1) of the ballots is settled; the replay goes on meanwhile. */
  readonly at?: Readonly<Record<string, () => Promise<unknown> | unknown>>;
};

export type SceneReplay = {
  readonly report: ReplayReport;
  /** What frames did that they must never do (I7). */
  readonly frameFaults: readonly string[];
  readonly frames: number;
};

export class ClusterScene implements AsyncDisposable {
  readonly cluster: EmbeddedCluster;
  readonly ledger = new VoteLedger();

  private constructor(cluster: EmbeddedCluster) {
    this.cluster = cluster;
  }

  static async start(options: EmbeddedClusterOptions = {}): Promise<ClusterScene> {
    return new ClusterScene(await EmbeddedCluster.start({ portBase: 0, sharedBuffersMb: 64, ...options }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.stop();
  }

  get routers(): string[] {
    return this.cluster.endpoints.routers.map(({ grpc }) => grpc);
  }

  get router(): string {
    return this.routers[0] ?? "";
  }

  /** Creates and opens. */
  async open(definition: ElectionDefinition): Promise<void> {
    const client = createClient(ElectionService, this.router);
    try {
      await client.createElection({ definition }, { headers: this.#admin() });
      await client.openElection({ electionId: definition.electionId }, { headers: this.#admin() });
    } finally {
      client.close();
    }
  }

  async close(electionId: string): Promise<void> {
    const client = createClient(ElectionService, this.router);
    try {
      await client.closeElection({ electionId }, { headers: this.#admin() });
    } finally {
      client.close();
    }
  }

  /** Replays, with every outcome in the ledger and every frame watched. */
  async replay(file: ElectionFile, { at = {}, ...options }: SceneReplayOptions = {}): Promise<SceneReplay> {
    const ahead = Object.entries(at)
      .map(([part, act]) => ({ ballots: Number(part) * file.ballotCount, act }))
      .sort((a, b) => a.ballots - b.ballots);
    const acts: Promise<unknown>[] = [];
    let settled = 0;
    const witness = new FrameWitness(this.routers, file.electionId, () => file.ballotCount);
    const report = await replay({
      ...options,
      routers: this.routers,
      file,
      onSettled: (ballot) => {
        this.ledger.noteSettled(file.electionId, ballot);
        settled++;
        for (let next = ahead[0]; next !== undefined && settled >= next.ballots; next = ahead[0]) {
          ahead.shift();
          acts.push(Promise.resolve(next.act()));
        }
      },
    });
    await Promise.all(acts);
    const { faults, frames } = await witness.stop();
    return { report, frameFaults: faults, frames };
  }

  /** The tally against the file, and the recount. */
  checkTally(file: ElectionFile): Promise<TallyVerdict> {
    return checkTally({ address: this.router, file, acknowledged: file.ballotCount });
  }

  /** The independent checker over everything that this scene has sent, with the tallies of these elections. */
  async check(electionIds: readonly string[], faults: readonly WitnessedFault[] = []): Promise<CheckReport> {
    const tallies = new Map<string, TallySnapshot>();
    const client = createClient(TallyService, this.router);
    try {
      for (const electionId of electionIds) tallies.set(electionId, await readSnapshot(client, electionId));
    } finally {
      client.close();
    }
    const routerKey = await readFile(this.cluster.paths.routerKeyFile);
    return checkCluster({ databases: this.databases(), routerKey, ledger: this.ledger, tallies, faults });
  }

  /** Read by a role that can change nothing. */
  databases(): ShardDatabases[] {
    return this.cluster.endpoints.shards.map(({ id, postgres }) => {
      const url = (role: string) => {
        const server = postgres.find((candidate) => candidate.role === role);
        return `postgres://${server?.user}@${server?.host}:${server?.port}/${server?.database}`;
      };
      return { shardId: id, primaryUrl: url("primary"), standbyUrl: url("standby") };
    });
  }

  /** Kills with SIGKILL and waits until the supervisor has started it again under another pid. */
  async killAndWait(name: string): Promise<WitnessedFault> {
    const before = this.cluster.pid(name);
    await this.cluster.kill(name);
    await this.cluster.untilRestarted(name, before);
    const after = this.cluster.pid(name);
    return { name: `the kill of ${name}`, happened: before !== 0 && after !== before };
  }

  #admin(): Record<string, string> {
    return { authorization: `Bearer ${this.cluster.adminToken()}` };
  }
}
