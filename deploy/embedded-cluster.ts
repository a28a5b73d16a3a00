/**
 * A whole Urna on this machine: shards (Postgres primary and synchronous standby, a shard node and a spare each),
 * routers and tally, supervised. Opened in this order, closed in the reverse:
 *
 *   run-folder.ts      the folder, its lock, the reaper that stops everything should we be killed
 *   run-state.ts       what an earlier start in the folder decided
 *   port-plan.ts       where everything listens
 *   postgres-pair.ts   each shard's Postgres; cluster-postgres.ts starts and migrates it
 *   service-process.ts shard nodes, tally, routers; cluster-plan.ts says what each is told
 *   endpoints.ts       where to find all that
 *   cluster-control.ts what it can be asked while it runs
 */

import type { Identity } from "#mesh/identity.ts";
import { LauncherControl } from "./cluster-control.ts";
import { bringUp, takeDown, untilServing } from "./cluster-life.ts";
import type { EmbeddedClusterOptions } from "./cluster-options.ts";
import { ClusterParts } from "./cluster-parts.ts";
import type { Endpoints } from "./endpoints.ts";
import type { MeshParts } from "./mesh-parts.ts";
import { ownerUrl } from "./postgres-session.ts";
import { RunFolder } from "./run-folder.ts";
import type { RunPaths } from "./run-paths.ts";
import type { Supervisor } from "./supervisor.ts";
import { findPostgresUser } from "./unprivileged-user.ts";
import { waitFor } from "./wait-for.ts";

export type { EmbeddedClusterOptions, Hop } from "./cluster-options.ts";

const restartLimitMs = 60_000;
const killedLimitMs = 10_000;

export class EmbeddedCluster {
  readonly paths: RunPaths;
  /** Nothing was in the folder before this start. */
  readonly isNew: boolean;
  readonly shards: number;
  readonly #parts: ClusterParts;
  readonly #control: LauncherControl;
  #stopped: Promise<void> | undefined;

  private constructor(parts: ClusterParts, control: LauncherControl) {
    this.#parts = parts;
    this.#control = control;
    this.paths = parts.folder.paths;
    this.isNew = parts.isNew;
    this.shards = parts.plan.shape.shards;
  }

  /** Resolves when every router, the tally and a writer of each shard serve. Leaves nothing running when it throws. */
  static async start(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
    const postgresUser = findPostgresUser();
    const folder = await RunFolder.open({ dir: options.dir, postgresUser, log: options.log ?? (() => {}) });
    let parts: ClusterParts | undefined;
    try {
      parts = await ClusterParts.make(options, folder, postgresUser);
      await bringUp(parts, options.signal);
      await untilServing(parts, undefined, options.signal);
      return new EmbeddedCluster(parts, await LauncherControl.open(parts));
    } catch (error) {
      // What went wrong first is what matters.
      await leave(folder, parts).catch(() => {});
      throw error;
    }
  }

  /** As endpoints.json says now. */
  get endpoints(): Endpoints {
    return this.#parts.endpoints();
  }

  /** An admin's, with which services are asked; undefined where they speak plaintext. */
  get identity(): Identity | undefined {
    return this.#parts.identity;
  }

  /** Consul and certificates; undefined where there are none. */
  get mesh(): MeshParts | undefined {
    return this.#parts.mesh;
  }

  get directoryFile(): string {
    return this.paths.directoryFile;
  }

  /** Of the superuser, on the primary or the standby: for what a test does behind our back. */
  ownerUrl(shardId: number, role: "primary" | "standby" = "primary"): string {
    const { ports } = this.#parts.plan.ports;
    const port = ports[`shard-${shardId}-${role}.postgres`] ?? 0;
    return ownerUrl({ port, password: this.#parts.folder.secrets().ownerPassword });
  }

  adminToken(): string {
    return this.#parts.folder.secrets().adminToken;
  }

  /** router-0, tally, shard-0-a, shard-0-b, shard-0-primary, shard-0-standby, …; 0 while it does not run. */
  pid(name: string): number {
    return this.#supervisor(name).running?.pid ?? 0;
  }

  processNames(): string[] {
    return this.#parts.supervisors.map(({ name }) => name);
  }

  /** Sends the signal to this process alone, and with SIGKILL waits until it has ended; a supervisor starts it again. */
  async kill(name: string, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const running = this.#supervisor(name).running;
    if (running === undefined) throw new Error(`${name} does not run`);
    running.signal(signal);
    if (signal === "SIGKILL" && !(await running.endsWithin(killedLimitMs))) throw new Error(`${name} did not end`);
  }

  /** Of a Postgres server the postmaster alone: its sessions, and what sends and takes WAL, go on. */
  freeze(name: string): void {
    this.#supervisor(name).signal("SIGSTOP");
  }

  thaw(name: string): void {
    this.#supervisor(name).signal("SIGCONT");
  }

  /** In order (services drain, Postgres stops fast); it stays stopped until `startProcess`. */
  async stopProcess(name: string): Promise<void> {
    await this.#supervisor(name).stop();
  }

  /** Resolves when the process runs; for Postgres, when it accepts connections. */
  async startProcess(name: string): Promise<void> {
    await this.#supervisor(name).start();
  }

  async restartProcess(name: string): Promise<void> {
    await this.stopProcess(name);
    await this.startProcess(name);
  }

  /** Resolves when the process runs under another pid than this one. */
  async untilRestarted(name: string, formerPid: number, limitMs = restartLimitMs): Promise<void> {
    await waitFor(`${name} to be restarted`, limitMs, () => {
      const pid = this.pid(name);
      return pid !== 0 && pid !== formerPid ? true : undefined;
    });
  }

  async waitUntilServing(limitMs?: number): Promise<void> {
    await untilServing(this.#parts, limitMs);
  }

  /** Resolves when the shard's standby is the synchronous one again. */
  async untilSynchronous(shardId: number): Promise<void> {
    await this.#parts.pairs[shardId]?.pair.untilSynchronous();
  }

  /** Drains and stops everything. A temporary folder goes with it. */
  stop(): Promise<void> {
    this.#stopped ??= this.#control.close().then(() => leave(this.#parts.folder, this.#parts));
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #supervisor(name: string): Supervisor {
    const found = this.#parts.supervisors.find((supervisor) => supervisor.name === name);
    if (found === undefined)
      throw new Error(`there is no process ${name}; there are ${this.processNames().join(", ")}`);
    return found;
  }
}

async function leave(folder: RunFolder, parts: ClusterParts | undefined): Promise<void> {
  try {
    if (parts !== undefined) await takeDown(parts);
    folder.close();
  } catch (error) {
    folder.abandon();
    throw error;
  }
}
