/** One Postgres server of the rig, to be stopped, killed, frozen and brought back. */
import { RigLog } from "#bench/rig-log.ts";
import { childrenOf } from "#deploy/process-identity.ts";
import type { Supervisor } from "#deploy/supervisor.ts";

export class RigPostgres {
  readonly log: RigLog;
  readonly #supervisor: Supervisor;
  #frozen: number[] = [];

  constructor(supervisor: Supervisor) {
    this.log = new RigLog(supervisor.process.logFile);
    this.#supervisor = supervisor;
  }

  get isRunning(): boolean {
    return this.#supervisor.running !== undefined;
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    await this.#supervisor.start();
  }

  /** In order: a fast shutdown. */
  async stop(): Promise<void> {
    await this.#supervisor.stop();
  }

  /** kill -9 of the postmaster; its children end when they notice. */
  async kill(): Promise<void> {
    const { running } = this.#supervisor;
    running?.signal("SIGKILL");
    await running?.exited;
    await this.#supervisor.stop();
  }

  /** The postmaster and every process of it stand still; their connections stay open. */
  freeze(): void {
    const pid = this.#supervisor.running?.pid;
    if (pid === undefined) throw new Error(`${this.#supervisor.name} does not run`);
    // The postmaster first, so that it makes no more children.
    process.kill(pid, "SIGSTOP");
    this.#frozen = [pid, ...childrenOf(pid)];
    for (const member of this.#frozen) signal(member, "SIGSTOP");
  }

  thaw(): void {
    for (const member of this.#frozen.splice(0)) signal(member, "SIGCONT");
  }

  /** For the end: the data is thrown away. */
  async close(): Promise<void> {
    this.thaw();
    const { running } = this.#supervisor;
    running?.signal("SIGQUIT");
    if (running !== undefined && !(await running.endsWithin(10_000))) running.signal("SIGKILL");
    await this.#supervisor.stop();
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended already.
  }
}
