/** What a launcher does when it is asked through its control socket. */
import type { ClusterParts } from "./cluster-parts.ts";
import { migrateShard } from "./cluster-postgres.ts";
import type { ControlRequest, ListedProcess, ProcessList, Release, Restarted } from "./control-protocol.ts";
import { ControlError } from "./control-protocol.ts";
import { ControlSocket } from "./control-socket.ts";
import { demandCompatible, readRelease } from "./release-checkout.ts";
import type { Supervisor } from "./supervisor.ts";

/** The socket of a cluster that is up. */
export class LauncherControl {
  readonly #control: ClusterControl;
  readonly #socket: ControlSocket | undefined;

  private constructor(control: ClusterControl, socket: ControlSocket | undefined) {
    this.#control = control;
    this.#socket = socket;
  }

  /** A cluster serves without it, too; that it cannot be opened is said. */
  static async open(parts: ClusterParts): Promise<LauncherControl> {
    const control = new ClusterControl(parts);
    const { controlSocket } = parts.folder.paths;
    const handle = (request: ControlRequest, progress: (text: string) => void) => control.handle(request, progress);
    const socket = await ControlSocket.open(controlSocket, handle, parts.log).catch((error: unknown) => {
      parts.log(`this cluster cannot be rolled: ${error instanceof Error ? error.message : error}`);
      return undefined;
    });
    return new LauncherControl(control, socket);
  }

  /** What is under way is waited for. */
  async close(): Promise<void> {
    await this.#control.stop();
    await this.#socket?.close();
  }
}

class ClusterControl {
  readonly #parts: ClusterParts;
  /** What is under way; undefined when nothing is. */
  #busyWith: string | undefined;
  #change: Promise<unknown> = Promise.resolve();
  #stopping = false;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
  }

  /** Throws ControlError. */
  async handle(request: ControlRequest, progress: (text: string) => void): Promise<unknown> {
    switch (request.kind) {
      case "list":
        return this.#list();
      case "restart": {
        const supervisor = this.#service(request.name);
        return await this.#alone(`the restart of ${request.name}`, () => this.#restart(supervisor, progress));
      }
      case "release":
        return await this.#alone("a change of the release", () => this.#release(request.checkout, progress));
    }
  }

  /** Refuses further changes; resolves when the one under way is over. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#change.catch(() => {});
  }

  #list(): ProcessList {
    const { routers, tally, plan, release } = this.#parts;
    const pidOf = (name: string) => this.#service(name).running?.pid ?? 0;
    const nodes = this.#parts.pairs.flatMap((_, shard) =>
      plan.nodeNames(shard).map((name): ListedProcess => ({ name, kind: "shard-node", shard, pid: pidOf(name) })),
    );
    const edges = [tally, ...routers].map(
      ({ name }): ListedProcess => ({ name, kind: name === tally.name ? "tally" : "router", pid: pidOf(name) }),
    );
    return { processes: [...nodes, ...edges], release };
  }

  #service(name: string): Supervisor {
    const { shardNodes, tally, routers } = this.#parts;
    const services = [...shardNodes, tally, ...routers];
    const found = services.find((service) => service.name === name);
    if (found !== undefined) return found;
    const names = services.map((service) => service.name).join(", ");
    throw new ControlError("UNKNOWN_PROCESS", `there is no service ${JSON.stringify(name)}; there are ${names}`);
  }

  /** Two restarts at a time could take both nodes of a shard. */
  async #alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#stopping) throw new ControlError("BUSY", "the launcher is stopping");
    if (this.#busyWith !== undefined) throw new ControlError("BUSY", `${this.#busyWith} is under way`);
    this.#busyWith = what;
    try {
      const change = work();
      this.#change = change;
      return await change;
    } finally {
      this.#busyWith = undefined;
    }
  }

  async #restart(supervisor: Supervisor, progress: (text: string) => void): Promise<Restarted> {
    const { name } = supervisor;
    const startedAtMs = performance.now();
    const formerPid = supervisor.running?.pid ?? 0;
    progress(formerPid === 0 ? `${name} does not run` : `${name} (process ${formerPid}) drains`);
    await supervisor.stop();
    progress(`${name} starts from ${this.#parts.release.checkout}`);
    try {
      await supervisor.start();
    } catch (error) {
      const because = error instanceof Error ? error.message : String(error);
      throw new ControlError("NOT_STARTED", `${name} could not be started: ${because}`);
    }
    const pid = supervisor.running?.pid ?? 0;
    const awayMs = Math.round(performance.now() - startedAtMs);
    return { name, pid, former_pid: formerPid, away_ms: awayMs };
  }

  async #release(checkout: string, progress: (text: string) => void): Promise<Release> {
    const parts = this.#parts;
    const next = readRelease(checkout);
    await demandCompatible(parts.release, next);
    progress(`${next.checkout} (version ${next.version}) speaks to what runs`);
    for (const [shardId] of parts.pairs.entries()) {
      try {
        await migrateShard(parts.plan.migration(shardId), next.checkout);
      } catch (error) {
        const because = error instanceof Error ? error.message : String(error);
        throw new ControlError("INVALID_RELEASE", `nothing starts from ${next.checkout}: ${because}`);
      }
      progress(`shard ${shardId}: its schema is that of version ${next.version}`);
    }
    parts.useRelease(next);
    return next;
  }
}
