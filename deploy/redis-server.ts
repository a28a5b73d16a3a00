/**
 * One Redis server on this machine, for the tally's latest frames. It is a cache: nothing is written to the disk, what
 * does not fit is thrown away, and whoever reads from it can do without it.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { inheritedEnvironment } from "./config.ts";
import { keepSecret, replaceFile } from "./file-writing.ts";
import { LoggedProcess, untilReady } from "./logged-process.ts";
import type { ManagedProcess } from "./managed-process.ts";
import { loopback } from "./postgres-settings.ts";

const startLimitMs = 20_000;
const stopLimitMs = 5_000;
const pingLimitMs = 2_000;

export type RedisServerOptions = {
  readonly name: string;
  /** Of redis-server. */
  readonly program: string;
  /** Of its own: holds the configuration. */
  readonly folder: string;
  readonly logFile: string;
  readonly port: number;
  /** Read at every start. */
  readonly passwordFile: string;
  /** What all frames may take. */
  readonly memoryMb?: number;
};

/** The password in this file; made on the first call. */
export function keepRedisPassword(passwordFile: string): string {
  return keepSecret(passwordFile, () => `${randomBytes(24).toString("hex")}\n`)
    .toString()
    .trim();
}

export class RedisServer implements ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #options: RedisServerOptions;

  constructor(options: RedisServerOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#options = options;
  }

  /** Without the password: redis://127.0.0.1:6379 */
  get url(): string {
    return `redis://${loopback}:${this.#options.port}`;
  }

  /** Resolves when it answers whoever knows the password. */
  async start(): Promise<LoggedProcess> {
    const { program, folder, passwordFile } = this.#options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const password = readFileSync(passwordFile, "utf8").trim();
    const configuration = join(folder, "redis.conf");
    // Not on the command line, which every user of the machine can read.
    replaceFile(configuration, redisConfiguration(this.#options, password), 0o600);
    const running = await LoggedProcess.spawn(program, [configuration], {
      logFile: this.logFile,
      environment: inheritedEnvironment,
      cwd: folder,
    });
    try {
      await untilReady(running, {
        name: this.name,
        logFile: this.logFile,
        what: "to answer",
        limitMs: startLimitMs,
        isReady: () => answersPing(this.#options.port, password),
      });
      return running;
    } catch (error) {
      await this.stop(running);
      throw error;
    }
  }

  async stop(running: LoggedProcess): Promise<void> {
    await running.stop(stopLimitMs);
  }
}

/** A watcher that does not read its frames is cut off, before its backlog is all that fits. */
function redisConfiguration({ port, folder, memoryMb = 64 }: RedisServerOptions, password: string): string {
  if (!/^[!-~]+$/.test(password)) throw new Error("a Redis password is visible ASCII without spaces");
  return `${[
    `bind ${loopback}`,
    "protected-mode yes",
    `port ${port}`,
    `requirepass "${password.replaceAll(/["\\]/g, "\\$&")}"`,
    `dir "${folder}"`,
    "daemonize no",
    'logfile ""',
    'save ""',
    "appendonly no",
    `maxmemory ${memoryMb}mb`,
    "maxmemory-policy allkeys-lru",
    "maxclients 1000",
    "tcp-keepalive 30",
    "client-output-buffer-limit pubsub 8mb 4mb 10",
    "client-query-buffer-limit 16mb",
  ].join("\n")}\n`;
}

/** Whether the server there takes this password. */
function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: loopback, port });
    let said = "";
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(pingLimitMs, () => end(false));
    socket.on("error", () => end(false)).on("close", () => end(false));
    socket.on("data", (chunk) => {
      said += chunk.toString();
      if (said.includes("+PONG")) end(true);
      else if (said.startsWith("-")) end(false);
    });
    socket.write(`*2\r\n$4\r\nAUTH\r\n$${Buffer.byteLength(password)}\r\n${password}\r\n*1\r\n$4\r\nPING\r\n`);
  });
}
