/** Keeps one process running: starts it again when it ends without having been asked to. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LoggedProcess } from "./logged-process.ts";
import { describeExit } from "./logged-process.ts";
import type { ManagedProcess } from "./managed-process.ts";

export type SupervisorOptions = {
  /** False: what ends stays ended until `start` is called. */
  readonly restarts: boolean;
  readonly log: (line: string) => void;
  readonly beforeStart?: () => Promise<void>;
  /** Called after every start and every end. */
  readonly onChange: () => void;
  readonly backoffMsMin?: number;
  readonly backoffMsMax?: number;
};

/** A process that ran this long had started well: the next restart waits the least again. */
const stableMs = 10_000;

export class Supervisor {
  readonly process: ManagedProcess;
  readonly #options: SupervisorOptions;
  readonly #backoff: { readonly minMs: number; readonly maxMs: number };
  #running: LoggedProcess | undefined;
  #quickEnds = 0;
  #stopping: AbortController | undefined;
  #watch: Promise<void> = Promise.resolve();

  constructor(process: ManagedProcess, options: SupervisorOptions) {
    this.process = process;
    this.#options = options;
    this.#backoff = { minMs: options.backoffMsMin ?? 200, maxMs: options.backoffMsMax ?? 5_000 };
  }

  get name(): string {
    return this.process.name;
  }

  /** The process, while it runs. */
  get running(): LoggedProcess | undefined {
    return this.#running?.isRunning ? this.#running : undefined;
  }

  /** How often in a row it has ended soon after its start. */
  get quickEnds(): number {
    return this.#quickEnds;
  }

  /** Resolves when it runs. Throws when it cannot be started; only later ends are met with restarts. */
  async start(): Promise<void> {
    if (this.running !== undefined) return;
    await this.stop();
    const stopping = new AbortController();
    this.#stopping = stopping;
    const first = await this.#startOnce();
    this.#watch = this.#keepRunning(first, stopping.signal);
  }

  /** Stops it for good, also in the middle of a restart; `start` starts it again. */
  async stop(): Promise<void> {
    this.#stopping?.abort();
    const running = this.running;
    if (running !== undefined) await this.process.stop(running);
    await this.#watch;
  }

  signal(signal: NodeJS.Signals): void {
    this.running?.signal(signal);
  }

  async #startOnce(): Promise<LoggedProcess> {
    await this.#options.beforeStart?.();
    this.#running = await this.process.start();
    this.#options.onChange();
    return this.#running;
  }

  async #keepRunning(first: LoggedProcess, stopping: AbortSignal): Promise<void> {
    let waitMs = this.#backoff.minMs;
    for (let current: LoggedProcess | undefined = first; ; ) {
      if (current !== undefined) {
        const startedAt = performance.now();
        const exit = await current.exited;
        this.#options.onChange();
        if (stopping.aborted || !this.#options.restarts) return;
        const wasStable = performance.now() - startedAt > stableMs;
        this.#quickEnds = wasStable ? 0 : this.#quickEnds + 1;
        if (wasStable) waitMs = this.#backoff.minMs;
        this.#options.log(`${this.name} ended (${describeExit(exit)}); starting it again in ${waitMs / 1000} s`);
      }
      await sleep(waitMs, undefined, { signal: stopping }).catch(() => {});
      if (stopping.aborted) return;
      waitMs = Math.min(waitMs * 2, this.#backoff.maxMs);
      current = await this.#startAgain(stopping);
      if (stopping.aborted) return;
    }
  }

  /** Undefined when it could not be started. */
  async #startAgain(stopping: AbortSignal): Promise<LoggedProcess | undefined> {
    try {
      const running = await this.#startOnce();
      if (stopping.aborted) await this.process.stop(running);
      else this.#options.log(`${this.name} runs again (process ${running.pid})`);
      return running;
    } catch (error) {
      this.#options.log(`${this.name} could not be started: ${error instanceof Error ? error.message : error}`);
      return undefined;
    }
  }
}
