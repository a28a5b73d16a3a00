/** One shard node of the rig: a real process, with a proxy of its own before Postgres. */
import { RigLog } from "#bench/rig-log.ts";
import type { TcpProxy } from "#bench/tcp-proxy.ts";
import { isServing } from "#deploy/health-probe.ts";
import type { Supervisor } from "#deploy/supervisor.ts";
import { waitFor } from "#deploy/wait-for.ts";
import type { Client } from "#mesh/grpc-client.ts";
import { createClient } from "#mesh/grpc-client.ts";
import type { ShardNodeStatus } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardRole } from "#proto/generated/urna/v1/mesh_service_pb.js";
import { ShardService } from "#proto/generated/urna/v1/shard_service_pb.js";

const statusLimitMs = 1_000;
const limitMs = 30_000;

export class RigNode {
  readonly name: string;
  readonly proxy: TcpProxy;
  readonly log: RigLog;
  readonly address: string;
  readonly #supervisor: Supervisor;
  #client: Client<typeof ShardService>;

  constructor(supervisor: Supervisor, address: string, proxy: TcpProxy) {
    this.name = supervisor.name;
    this.proxy = proxy;
    this.log = new RigLog(supervisor.process.logFile);
    this.address = address;
    this.#supervisor = supervisor;
    this.#client = createClient(ShardService, address);
  }

  get client(): Client<typeof ShardService> {
    return this.#client;
  }

  get isRunning(): boolean {
    return this.#supervisor.running !== undefined;
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    this.#client.close();
    this.#client = createClient(ShardService, this.address);
    await this.#supervisor.start();
    await waitFor(`${this.name} to answer`, limitMs, async () => {
      if (!this.isRunning) throw new Error(`${this.name} ended at its start: ${await this.log.since()}`);
      return await this.status();
    });
  }

  /** Ends it at once, or in order with SIGTERM; resolves with its exit code when it has ended. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<number | null> {
    const { running } = this.#supervisor;
    if (running === undefined) return null;
    running.signal("SIGCONT");
    running.signal(signal);
    const { code } = await running.exited;
    await this.#supervisor.stop();
    return code;
  }

  freeze(): void {
    this.#supervisor.signal("SIGSTOP");
  }

  thaw(): void {
    this.#supervisor.signal("SIGCONT");
  }

  /** Undefined when it does not answer in time. */
  async status(): Promise<ShardNodeStatus | undefined> {
    if (!this.isRunning) return undefined;
    return await this.#client.getShardStatus({}, { deadlineMs: statusLimitMs }).then(
      ({ status }) => status,
      () => undefined,
    );
  }

  async isWriter(): Promise<boolean> {
    return (await this.status())?.role === ShardRole.WRITER;
  }

  /** What grpc.health.v1 says of ShardService. */
  isServing(): Promise<boolean> {
    return isServing(this.address, ShardService.typeName);
  }

  /** Waits until health says so. */
  async untilServing(serving = true): Promise<void> {
    await waitFor(`${this.name} to be ${serving ? "" : "NOT_"}SERVING`, limitMs, async () => {
      return (await this.isServing()) === serving ? true : undefined;
    });
  }

  /** Waits until the node says that it is not ready for such a reason. */
  async untilNotReady(because: RegExp): Promise<string> {
    return await waitFor(`${this.name} not to be ready because of ${because}`, limitMs, async () => {
      const reason = (await this.status())?.notReadyBecause ?? "";
      return because.test(reason) ? reason : undefined;
    });
  }

  async close(): Promise<void> {
    await this.kill("SIGKILL");
    this.#client.close();
    await this.proxy.close();
  }
}
