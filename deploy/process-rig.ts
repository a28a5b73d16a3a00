/** Supervised processes for a test, in a temporary run folder: a reaper stops them should the test be killed. */
import { join } from "node:path";
import { replaceJsonFile } from "./file-writing.ts";
import type { RecordedProcess } from "./leftovers.ts";
import type { ManagedProcess } from "./managed-process.ts";
import { RunFolder } from "./run-folder.ts";
import type { RunPaths } from "./run-paths.ts";
import { Supervisor } from "./supervisor.ts";

export type ProcessRigOptions = {
  /** Whether what ends is started again. Default: false. */
  readonly restarts?: boolean;
  readonly log?: ((line: string) => void) | undefined;
};

export class ProcessRig {
  readonly paths: RunPaths;
  readonly #folder: RunFolder;
  readonly #options: ProcessRigOptions;
  readonly #supervisors: Supervisor[] = [];

  private constructor(folder: RunFolder, options: ProcessRigOptions) {
    this.#folder = folder;
    this.paths = folder.paths;
    this.#options = options;
  }

  static async open(options: ProcessRigOptions = {}): Promise<ProcessRig> {
    const log = options.log ?? (() => {});
    return new ProcessRig(await RunFolder.open({ dir: undefined, postgresUser: undefined, log }), options);
  }

  logFile(name: string): string {
    return join(this.paths.logs, `${name}.log`);
  }

  /** It does not run yet. */
  supervise(process: ManagedProcess, beforeStart?: () => Promise<void>): Supervisor {
    const supervisor = new Supervisor(process, {
      restarts: this.#options.restarts ?? false,
      log: this.#options.log ?? (() => {}),
      onChange: () => this.#record(),
      ...(beforeStart === undefined ? {} : { beforeStart }),
    });
    this.#supervisors.push(supervisor);
    return supervisor;
  }

  /** Stops everything, the latest first, and removes the folder. */
  async close(): Promise<void> {
    try {
      for (const supervisor of this.#supervisors.toReversed()) await supervisor.stop();
      this.#folder.close();
    } catch (error) {
      this.#folder.abandon();
      throw error;
    }
  }

  #record(): void {
    const processes = this.#supervisors.flatMap(({ name, running }): RecordedProcess[] =>
      running === undefined ? [] : [{ name, ...running.identity }],
    );
    replaceJsonFile(this.paths.processesFile, processes);
  }
}
