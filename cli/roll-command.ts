/** `urna roll` */
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { ControlClient, LauncherGoneError } from "#deploy/control-client.ts";
import type { Restarted } from "#deploy/control-protocol.ts";
import { ControlError } from "#deploy/control-protocol.ts";
import { callerIdentity } from "./caller-identity.ts";
import type { CommandContext } from "./command-context.ts";
import { withExamples } from "./command-context.ts";
import type { Endpoints } from "./endpoints.ts";
import { RollStoppedError, UnreachableError, UsageError } from "./exit-code.ts";
import type { RollStep } from "./roll-order.ts";
import { rollOrder, unwell } from "./roll-order.ts";
import { nearestEndpoints } from "./server-connection.ts";
import { reportOfRouter, reportOfRun } from "./status-report.ts";
import { plainText } from "./text-table.ts";
import { wholeNumber } from "./whole-number.ts";

type RollOptions = {
  readonly to?: string;
  /** Seconds. */
  readonly wait: number;
  readonly force?: boolean;
  readonly json?: boolean;
};

const waitSecondsDefault = 60;
const lookEveryMs = 100;
/** Clients whose connection went with a process come back within so many times as long as it was away (gRPC's backoff). */
const comeBackFactor = 1.6;
const pauseMsMin = 1_000;

export function addRollCommand(program: Command, context: CommandContext): void {
  const command = program
    .command("roll [processes...]")
    .summary("restart every process of a running cluster, one after the other")
    .description(
      "Restarts spares, writers, tally and routers, one after the other, while votes are cast: each drains, starts again, " +
        "and must be well before the next one goes. Postgres is not restarted. With --to, processes start from another " +
        "checkout, whose migrations are run first: to roll back, roll to the checkout from before.",
    )
    .option("--to <checkout>", "folder of the release to start from, with its dependencies installed")
    .option(
      "--wait <seconds>",
      "how long a process may take until all is well again, before the roll stops",
      wholeNumber(1, 3_600),
      waitSecondsDefault,
    )
    .option("--force", "begin although not everything is well")
    .option("--json", "print a JSON object a line on standard output")
    .action((processes: string[], options: RollOptions) => new Roll(options, context).run(processes));
  withExamples(command, "urna roll", "urna roll router-1 tally", "urna roll --to ../urna-0.2.0 --json");
}

class Roll {
  readonly #options: RollOptions;
  readonly #context: CommandContext;
  readonly #endpoints: Endpoints;
  /** Where processes started from before. */
  #former: string | undefined;

  constructor(options: RollOptions, context: CommandContext) {
    this.#options = options;
    this.#context = context;
    this.#endpoints = nearestEndpoints(context.folder);
  }

  async run(wanted: readonly string[]): Promise<void> {
    const startedAtMs = performance.now();
    using launcher = await this.#connect();
    if (this.#options.force !== true) await this.#demandWell();
    const steps = await this.#steps(launcher, wanted);
    const version = await this.#changeRelease(launcher);
    const left = steps.map(({ process }) => process);
    try {
      for (const [at, step] of steps.entries()) {
        this.#context.signal.throwIfAborted();
        await this.#step(launcher, step, left, at === steps.length - 1);
        left.shift();
      }
    } catch (cause) {
      const { signal, terminal } = this.#context;
      if (signal.aborted) terminal.note(`stopped in the middle. ${this.#advice(left)}`);
      throw cause;
    }
    const seconds = Math.round((performance.now() - startedAtMs) / 100) / 10;
    const of = version === undefined ? "" : `, now of version ${version}`;
    this.#say(`rolled ${steps.length} processes in ${seconds} s${of}`, { rolled: steps.length, seconds, version });
  }

  async #connect(): Promise<ControlClient> {
    const { controlSocket, file } = this.#endpoints;
    if (controlSocket === undefined) {
      throw new UnreachableError(`${file} names no control socket: stop Urna, and start it again with this version`);
    }
    try {
      return await ControlClient.connect(controlSocket);
    } catch (cause) {
      if (!(cause instanceof LauncherGoneError)) throw cause;
      throw new UnreachableError(`${cause.message}: start Urna again with "npm start"`);
    }
  }

  async #steps(launcher: ControlClient, wanted: readonly string[]): Promise<RollStep[]> {
    const { processes } = await launcher.list();
    const unknown = wanted.find((name) => !processes.some((process) => process.name === name));
    if (unknown !== undefined) {
      const names = processes.map(({ name }) => name).join(", ");
      throw new UsageError(`there is no process ${plainText(unknown)}; there are ${names}`);
    }
    const all = rollOrder(processes, (await reportOfRun(this.#endpoints, await callerIdentity(this.#context))).nodes);
    return wanted.length === 0 ? all : all.filter(({ process }) => wanted.includes(process));
  }

  /** The version that processes start from now; undefined when they go on with the one from before. */
  async #changeRelease(launcher: ControlClient): Promise<string | undefined> {
    const { to } = this.#options;
    if (to === undefined) return undefined;
    const note = (text: string) => this.#context.terminal.note(plainText(text));
    try {
      this.#former = (await launcher.list()).release.checkout;
      return (await launcher.release(resolve(this.#context.folder, to), note)).version;
    } catch (cause) {
      if (cause instanceof ControlError) throw new RollStoppedError(`nothing was restarted: ${cause.message}`);
      throw cause;
    }
  }

  async #step(launcher: ControlClient, step: RollStep, left: readonly string[], isLast: boolean): Promise<void> {
    const { process, role } = step;
    const startedAtMs = performance.now();
    let restarted: Restarted;
    try {
      restarted = await launcher.restart(process);
    } catch (cause) {
      if (cause instanceof LauncherGoneError) throw new RollStoppedError(cause.message);
      if (cause instanceof ControlError) throw this.#stopped(cause.message, left);
      throw cause;
    }
    const faults = await this.#waitUntilWell();
    if (faults !== "") throw this.#stopped(`${process} was restarted, and not all is well: ${faults}`, left);
    const tookMs = Math.round(performance.now() - startedAtMs);
    const { pid, former_pid, away_ms } = restarted;
    this.#say(`${process} (${role}): process ${former_pid} ended, ${pid} runs, all is well after ${tookMs} ms`, {
      process,
      role,
      pid,
      former_pid,
      away_ms,
      well_ms: tookMs,
    });
    // Those who were connected to it shall have found it again before the next one goes.
    if (role === "router" && !isLast) await this.#pause(Math.max(pauseMsMin, comeBackFactor * tookMs));
  }

  async #demandWell(): Promise<void> {
    const faults = await this.#waitUntilWell();
    if (faults === "") return;
    const advice = "Mend that first; --force begins all the same";
    throw new RollStoppedError(`nothing was restarted, because not all is well: ${faults}. ${advice}`);
  }

  /** What stays unwell; empty when nothing does. */
  async #waitUntilWell(): Promise<string> {
    const untilMs = performance.now() + this.#options.wait * 1_000;
    for (;;) {
      const faults = await this.#faults();
      if (faults.length === 0 || performance.now() > untilMs) return plainText(faults.join("; "));
      await this.#pause(lookEveryMs);
    }
  }

  #stopped(because: string, left: readonly string[]): RollStoppedError {
    return new RollStoppedError(`${because}. ${this.#advice(left)}`);
  }

  #advice(left: readonly string[]): string {
    const back = this.#former === undefined ? "" : `, or back with "urna roll --force --to ${this.#former}"`;
    return `Look at "urna status" and the logs, then go on with "urna roll --force ${left.join(" ")}"${back}`;
  }

  /** Of every part, asked one by one; then of what each router reaches. */
  async #faults(): Promise<string[]> {
    const identity = await callerIdentity(this.#context);
    const faults = unwell(await reportOfRun(this.#endpoints, identity));
    if (faults.length > 0) return faults;
    const seen = await Promise.all(
      this.#endpoints.routers.map(async ({ grpc }) => {
        const report = await reportOfRouter(grpc, identity).catch(() => undefined);
        if (report === undefined) return [`router ${grpc} does not answer`];
        return unwell(report).map((fault) => `router ${grpc} sees: ${fault}`);
      }),
    );
    return seen.flat();
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#context.signal });
  }

  #say(line: string, json: object): void {
    const { terminal } = this.#context;
    terminal.print(this.#options.json === true ? JSON.stringify(json) : line);
  }
}
