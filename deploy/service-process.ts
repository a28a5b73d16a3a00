/** One of our services as a child process. */
import { inheritedEnvironment, tracesEnvironment } from "./config.ts";
import { LoggedProcess } from "./logged-process.ts";
import type { ManagedProcess } from "./managed-process.ts";
import { checkoutRoot, nodeFlags, nodeOf } from "./own-node.ts";

/** A service drains within 10 s; beyond that it is killed. */
const drainLimitMs = 12_000;

export type ServiceProcessOptions = {
  readonly name: string;
  /** For example router/main.ts. */
  readonly script: string;
  /** Where the script is, asked for at every start; default: this checkout. */
  readonly checkout?: () => string;
  readonly logFile: string;
  /** Asked for at every start. */
  readonly environment: () => Promise<Readonly<Record<string, string>>>;
};

export class ServiceProcess implements ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ServiceProcessOptions;

  constructor(options: ServiceProcessOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#options = options;
  }

  async start(): Promise<LoggedProcess> {
    const checkout = this.#options.checkout?.() ?? checkoutRoot;
    return LoggedProcess.spawn(nodeOf(checkout), [...nodeFlags, this.#options.script], {
      logFile: this.logFile,
      cwd: checkout,
      environment: {
        ...inheritedEnvironment,
        ...tracesEnvironment,
        URNA_NAME: this.name,
        ...(await this.#options.environment()),
      },
      ipc: true,
    });
  }

  async stop(running: LoggedProcess): Promise<void> {
    await running.stop(drainLimitMs);
  }
}
