/** A child process whose output goes to a log file. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import type { ProcessIdentity } from "./process-identity.ts";
import { identify } from "./process-identity.ts";
import { waitFor } from "./wait-for.ts";

/** A log that has grown beyond this is put aside at the next start of its process; the one put aside before is lost. */
const logBytesMax = 64 * 2 ** 20;
const logLinesShown = 8;

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type LoggedProcessOptions = {
  readonly logFile: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
  readonly cwd?: string;
  /** Opens an IPC channel: the child notices by its end that we are gone. */
  readonly ipc?: boolean;
};

export class LoggedProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process has ended. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child;
    this.identity = identify(pid) ?? { pid, startedAt: "" };
    this.exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
  }

  /** Throws when the program cannot be started at all. */
  static async spawn(command: string, args: readonly string[], options: LoggedProcessOptions): Promise<LoggedProcess> {
    const { logFile, environment, ipc = false, ...rest } = options;
    putAside(logFile);
    const log = openSync(logFile, "a", 0o640);
    try {
      // In a session of its own, so that Ctrl-C in the terminal reaches the launcher alone, which stops all in order.
      const child = spawn(command, args, {
        ...rest,
        env: environment,
        detached: true,
        stdio: ipc ? ["ignore", log, log, "ipc"] : ["ignore", log, log],
      });
      await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
      child.on("error", () => {
        // A signal that came too late, or a channel that is closed: `exited` tells the rest.
      });
      return new LoggedProcess(child, child.pid as number);
    } finally {
      closeSync(log);
    }
  }

  get pid(): number {
    return this.identity.pid;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(signal);
  }

  /** Asks it to end, also when it is frozen, and after the limit does not ask. */
  async stop(limitMs: number): Promise<void> {
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    if (await this.endsWithin(limitMs)) return;
    this.signal("SIGKILL");
    await this.exited;
  }

  /** Whether it has ended within this time. */
  async endsWithin(limitMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), limitMs);
    });
    const ended = await Promise.race([this.exited.then(() => true as const), limit]);
    clearTimeout(timer);
    return ended;
  }
}

/** How a process ended, for a log line. */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${code}` : signal;
}

export type Readiness = {
  readonly name: string;
  readonly logFile: string;
  /** What is waited for: "to listen". */
  readonly what: string;
  readonly limitMs: number;
  readonly isReady: () => Promise<boolean>;
};

/** Throws when the process ends before it is ready, with the last that it wrote, or is not within the limit. */
export async function untilReady(process: LoggedProcess, readiness: Readiness): Promise<void> {
  const { name, logFile, what, limitMs, isReady } = readiness;
  await waitFor(`${name} ${what} (see ${logFile})`, limitMs, async () => {
    if (!process.isRunning) throw new Error(await describeEarlyEnd(name, logFile, process));
    return (await isReady()) ? true : undefined;
  });
}

/** How a process ended that should have gone on, and the last that it wrote. */
async function describeEarlyEnd(name: string, logFile: string, process: LoggedProcess): Promise<string> {
  const lines = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-logLinesShown);
  return `${name} ended with ${describeExit(await process.exited)}; ${logFile} says:\n${lines.join("\n")}`;
}

function putAside(logFile: string): void {
  const bytes = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > logBytesMax) renameSync(logFile, `${logFile}.1`);
}
