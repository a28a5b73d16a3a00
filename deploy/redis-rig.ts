/** A real Redis server for a test, on a free port. */
import { readFileSync } from "node:fs";
import { HeldPorts } from "./port-plan.ts";
import { ProcessRig } from "./process-rig.ts";
import { findRedis } from "./redis-binary.ts";
import { keepRedisPassword, RedisServer } from "./redis-server.ts";
import type { Supervisor } from "./supervisor.ts";

export type RedisRigOptions = { readonly memoryMb?: number; readonly log?: (line: string) => void };

export class RedisRig {
  readonly port: number;
  /** Without the password: redis://127.0.0.1:20123 */
  readonly url: string;
  readonly passwordFile: string;
  readonly #rig: ProcessRig;
  readonly #supervisor: Supervisor;

  private constructor(
    rig: ProcessRig,
    supervisor: Supervisor,
    server: { readonly url: string; readonly port: number },
  ) {
    this.#rig = rig;
    this.#supervisor = supervisor;
    this.port = server.port;
    this.url = server.url;
    this.passwordFile = rig.paths.redisPasswordFile;
  }

  /** Throws ToolMissingError where there is no Redis. */
  static async start({ memoryMb, log }: RedisRigOptions = {}): Promise<RedisRig> {
    const program = await findRedis(log ?? (() => {}));
    const rig = await ProcessRig.open({ log });
    try {
      const ports = await HeldPorts.take(["redis.redis"], 0);
      const port = ports.ports["redis.redis"] ?? 0;
      keepRedisPassword(rig.paths.redisPasswordFile);
      const server = new RedisServer({
        name: "redis",
        program,
        folder: rig.paths.redis,
        logFile: rig.logFile("redis"),
        port,
        passwordFile: rig.paths.redisPasswordFile,
        ...(memoryMb === undefined ? {} : { memoryMb }),
      });
      const supervisor = rig.supervise(server, () => ports.release("redis"));
      await supervisor.start();
      return new RedisRig(rig, supervisor, { url: server.url, port });
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  get password(): string {
    return readFileSync(this.passwordFile, "utf8").trim();
  }

  get pid(): number {
    return this.#supervisor.running?.pid ?? 0;
  }

  freeze(): void {
    this.#supervisor.signal("SIGSTOP");
  }

  thaw(): void {
    this.#supervisor.signal("SIGCONT");
  }

  async kill(): Promise<void> {
    const running = this.#supervisor.running;
    running?.signal("SIGKILL");
    await running?.exited;
  }

  /** After `kill` or `stop`; what it held is gone. */
  async start(): Promise<void> {
    await this.#supervisor.start();
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rig.close();
  }
}
