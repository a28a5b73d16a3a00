/** One agent of Consul, server or not, as a child process. */
import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { inheritedEnvironment } from "./config.ts";
import { replaceFile } from "./file-writing.ts";
import { LoggedProcess, untilReady } from "./logged-process.ts";
import type { ManagedProcess } from "./managed-process.ts";
import { loopback } from "./postgres-settings.ts";

const startLimitMs = 60_000;
const stopLimitMs = 10_000;

export type ConsulProcessOptions = {
  readonly name: string;
  readonly program: string;
  /** Its folder is made; only we can read the file, which holds secrets. */
  readonly configurationFile: string;
  readonly logFile: string;
  readonly httpsPort: number;
  /** Asked for at every start. */
  readonly configuration: () => string;
};

export class ConsulProcess implements ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ConsulProcessOptions;

  constructor(options: ConsulProcessOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#options = options;
  }

  /** Resolves when its API listens; it may know of no leader yet. */
  async start(): Promise<LoggedProcess> {
    const { program, configurationFile, configuration, httpsPort } = this.#options;
    mkdirSync(dirname(configurationFile), { recursive: true, mode: 0o700 });
    replaceFile(configurationFile, configuration(), 0o600);
    const running = await LoggedProcess.spawn(program, ["agent", "-config-file", configurationFile], {
      logFile: this.logFile,
      environment: inheritedEnvironment,
      cwd: dirname(configurationFile),
    });
    try {
      await untilReady(running, {
        name: this.name,
        logFile: this.logFile,
        what: "to listen",
        limitMs: startLimitMs,
        isReady: () => listens(httpsPort),
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

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: loopback, port });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => end(true)).once("error", () => end(false));
  });
}
