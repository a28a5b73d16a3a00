/** One Postgres server on this machine: its data directory, its postmaster. */
import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { chown, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { inheritedEnvironment } from "./config.ts";
import { describeExit, LoggedProcess } from "./logged-process.ts";
import type { ManagedProcess } from "./managed-process.ts";
import type { PostgresBinaries } from "./postgres-binaries.ts";
import { accessRules, ownerRole } from "./postgres-settings.ts";
import { readPostmasterFile, removeForeignPidFile } from "./postmaster-file.ts";
import { stopPostmaster } from "./postmaster-stop.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";
import { asUser } from "./unprivileged-user.ts";
import { waitFor } from "./wait-for.ts";

const run = promisify(execFile);

/** How long a start may take, crash recovery included. */
const startLimitMs = 120_000;
/** How long the backends of a killed postmaster may hold its shared memory. */
const leftBehindLimitMs = 30_000;
const leftBehindPollMs = 200;
/** A fast stop, then an immediate one, then force. */
const fastStopLimitMs = 20_000;
const immediateStopLimitMs = 5_000;

export type PostgresServerOptions = {
  readonly name: string;
  /** A real path: it identifies the postmaster. */
  readonly dataFolder: string;
  readonly logFile: string;
  readonly binaries: PostgresBinaries;
  readonly user: UnprivilegedUser | undefined;
  /** The text of postgresql.conf, asked for at every start. */
  readonly configuration: () => string | Promise<string>;
};

export class PostgresServer implements ManagedProcess {
  readonly name: string;
  readonly logFile: string;
  readonly dataFolder: string;
  readonly #options: PostgresServerOptions;

  constructor(options: PostgresServerOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.dataFolder = options.dataFolder;
    this.#options = options;
  }

  /** Makes a fresh data directory, flushed to the disk. */
  async initialise(ownerPassword: string): Promise<void> {
    const { binaries, user } = this.#options;
    const passwordFile = `${this.dataFolder}.password`;
    await writePrivateFile(passwordFile, `${ownerPassword}\n`, user);
    const access = ["--username", ownerRole, "--pwfile", passwordFile, "--auth", "scram-sha-256"];
    const format = ["--encoding", "UTF8", "--locale", "C", "--data-checksums"];
    await this.#runAsOwner(binaries.initdb, ["-D", this.dataFolder, ...access, ...format]);
    await rm(passwordFile);
  }

  /** Makes this directory a standby's copy of a directory whose server is stopped; flushed, and whole or not there. */
  async copyAsStandby(source: PostgresServer): Promise<void> {
    const draft = `${this.dataFolder}.part`;
    await this.#runAsOwner("rm", ["-rf", draft]);
    await this.#runAsOwner("cp", ["-Rp", source.dataFolder, draft]);
    // The primary's slots are not the standby's, and its postmaster.pid may tell of a crash.
    await this.#runAsOwner("rm", ["-rf", join(draft, "pg_replslot"), join(draft, "postmaster.pid")]);
    await this.#runAsOwner("mkdir", ["-m", "700", join(draft, "pg_replslot")]);
    await writePrivateFile(join(draft, "standby.signal"), "", this.#options.user);
    await this.#runAsOwner(this.#options.binaries.initdb, ["--sync-only", "-D", draft]);
    await this.#runAsOwner("mv", [draft, this.dataFolder]);
  }

  /** Runs a command as the user that Postgres runs as. */
  async #runAsOwner(command: string, args: readonly string[]): Promise<void> {
    await run(command, args, {
      cwd: "/",
      env: { ...inheritedEnvironment, LC_ALL: "C" },
      ...asUser(this.#options.user),
    });
  }

  async start(): Promise<LoggedProcess> {
    // An earlier run may have left its postmaster behind.
    await stopPostmaster(this.dataFolder);
    const leftBehindUntil = performance.now() + leftBehindLimitMs;
    for (;;) {
      removeForeignPidFile(this.dataFolder);
      await this.#configure();
      const logStart = statSync(this.logFile, { throwIfNoEntry: false })?.size ?? 0;
      const postmaster = await this.#spawn();
      const problem = await this.#untilAccepting(postmaster, logStart);
      if (problem === undefined) return postmaster;
      // Backends of a killed postmaster end at their next look; until then they hold its shared memory.
      const leftBehind = /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(problem);
      if (!leftBehind || performance.now() > leftBehindUntil) throw new Error(`${this.name}: ${problem}`);
      await sleep(leftBehindPollMs);
    }
  }

  async stop(postmaster: LoggedProcess): Promise<void> {
    postmaster.signal("SIGCONT");
    postmaster.signal("SIGINT");
    if (await postmaster.endsWithin(fastStopLimitMs)) return;
    postmaster.signal("SIGQUIT");
    if (await postmaster.endsWithin(immediateStopLimitMs)) return;
    postmaster.signal("SIGKILL");
    await postmaster.exited;
  }

  async #configure(): Promise<void> {
    const { configuration, user } = this.#options;
    await writePrivateFile(join(this.dataFolder, "postgresql.conf"), await configuration(), user);
    await writePrivateFile(join(this.dataFolder, "pg_hba.conf"), accessRules, user);
  }

  #spawn(): Promise<LoggedProcess> {
    return LoggedProcess.spawn(this.#options.binaries.postgres, ["-D", this.dataFolder], {
      logFile: this.logFile,
      environment: { ...inheritedEnvironment, LC_ALL: "C" },
      cwd: "/",
      ...asUser(this.#options.user),
    });
  }

  /** Answers what went wrong when the server ended instead. */
  async #untilAccepting(postmaster: LoggedProcess, logStart: number): Promise<string | undefined> {
    const accepts = await waitFor(`${this.name} to accept connections (see ${this.logFile})`, startLimitMs, () => {
      if (!postmaster.isRunning) return false;
      const state = readPostmasterFile(this.dataFolder);
      return state?.pid === postmaster.pid && state.accepting ? true : undefined;
    }).catch(async (error: unknown) => {
      await this.stop(postmaster);
      throw error;
    });
    if (accepts) return undefined;
    const log = (await readFile(this.logFile)).subarray(logStart).toString();
    return `Postgres ended with ${describeExit(await postmaster.exited)}; ${this.logFile} says:\n${lastLines(log)}`;
  }
}

/** Writes a file that only the Postgres user can read. */
async function writePrivateFile(path: string, text: string, user: UnprivilegedUser | undefined): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  if (user !== undefined) await chown(path, user.uid, user.gid);
}

function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-12).join("\n");
}
