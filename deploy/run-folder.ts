/** A run's folder, held by this process: the lock, the reaper that outlives us, the data root, the secrets. */

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { encodeLedgerKey, generateLedgerKey } from "#proto/ledger/signed-note.ts";
import { inheritedEnvironment, systemStateFolder } from "./config.ts";
import { count } from "./endpoints.ts";
import { keepSecret } from "./file-writing.ts";
import { stopLeftovers } from "./leftovers.ts";
import { checkoutRoot, nodeFlags, ownNode } from "./own-node.ts";
import { identify } from "./process-identity.ts";
import { releasedWord } from "./reaper.ts";
import { nameReaper, releaseRunLock, takeRunLock } from "./run-lock.ts";
import type { RunPaths } from "./run-paths.ts";
import { runPaths } from "./run-paths.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";
import { canEnter } from "./unprivileged-user.ts";

const reaperRestartMs = 500;

export type RunFolderOptions = {
  /** Undefined: a temporary folder, removed at the end, whoever ends. */
  readonly dir: string | undefined;
  readonly postgresUser: UnprivilegedUser | undefined;
  readonly log: (line: string) => void;
};

export class RunFolder {
  readonly paths: RunPaths;
  readonly #temporary: boolean;
  #reaper: Socket | undefined;
  #closed = false;

  private constructor(paths: RunPaths, temporary: boolean) {
    this.paths = paths;
    this.#temporary = temporary;
  }

  /** Takes the folder, and stops what an earlier run left in it. Throws RunActiveError. */
  static async open({ dir, postgresUser, log }: RunFolderOptions): Promise<RunFolder> {
    const temporary = dir === undefined;
    const root = temporary ? mkdtempSync(join(tmpdir(), "urna-")) : resolve(dir);
    mkdirSync(root, { recursive: true });
    // Others may pass through, to the data directories, and no more; what is secret lies in a folder of its own.
    if (temporary) chmodSync(root, 0o711);
    const folder = new RunFolder(runPaths(realpathSync(root)), temporary);
    const { paths } = folder;
    await takeRunLock(paths.root, paths.lockFile);
    try {
      mkdirSync(paths.logs, { recursive: true });
      mkdirSync(paths.secrets, { recursive: true, mode: 0o700 });
      const stopped = await stopLeftovers(paths);
      if (stopped.length > 0) log(`stopped what an earlier run had left behind: ${stopped.join(", ")}`);
      folder.#makeDataRoot(postgresUser, log);
      folder.#startReaper();
      return folder;
    } catch (error) {
      folder.close();
      throw error;
    }
  }

  /** The real path of the folder of all data directories. */
  get dataRoot(): string {
    return realpathSync(this.paths.postgres);
  }

  secrets() {
    const password = () => `${randomBytes(24).toString("hex")}\n`;
    const read = (path: string) => keepSecret(path, password).toString().trim();
    const { paths } = this;
    keepSecret(paths.routerKeyFile, () => randomBytes(32));
    return {
      adminToken: read(paths.adminTokenFile),
      ownerPassword: read(paths.ownerPasswordFile),
      shardPassword: read(paths.shardPasswordFile),
      replicationPassword: read(paths.replicationPasswordFile),
    };
  }

  /** Each shard signs its ledger with a key of its own. */
  keepShardKeys(shards: number): void {
    const make = () => encodeLedgerKey(generateLedgerKey());
    for (const shardId of count(shards)) keepSecret(this.paths.shardKeyFile(shardId), make);
  }

  /** Gives the folder back. Everything that ran in it must have stopped. */
  close(): void {
    this.#closed = true;
    this.#reaper?.end(`${releasedWord}\n`);
    if (this.#temporary) {
      if (existsSync(this.paths.postgres)) rmSync(this.dataRoot, { recursive: true, force: true });
      rmSync(this.paths.root, { recursive: true, force: true });
    } else {
      releaseRunLock(this.paths.lockFile);
    }
  }

  /** Leaves the rest to the reaper: something could not be stopped. */
  abandon(): void {
    this.#closed = true;
    this.#reaper?.end();
  }

  #makeDataRoot(user: UnprivilegedUser | undefined, log: (line: string) => void): void {
    const { root, postgres } = this.paths;
    if (lstatSync(postgres, { throwIfNoEntry: false }) === undefined) {
      if (canEnter(user, root)) mkdirSync(postgres, { mode: 0o700 });
      else {
        // A name of its own: whoever removes a run's folder begins anew, and must not meet data whose secrets are gone.
        const outside = join(systemStateFolder, randomBytes(8).toString("hex"));
        mkdirSync(outside, { recursive: true, mode: 0o755 });
        symlinkSync(outside, postgres);
        log(`${root} cannot be entered by the user ${user?.name}, whom Postgres runs as: its data is in ${outside}`);
      }
      if (user !== undefined) chownSync(this.dataRoot, user.uid, user.gid);
    }
    if (!existsSync(postgres)) throw new Error(`${postgres} leads nowhere: the data that it stood for is gone`);
    if (!canEnter(user, this.dataRoot)) {
      throw new Error(`${this.dataRoot} cannot be entered by the user ${user?.name ?? "that we run as"}`);
    }
  }

  #replaceReaper(): void {
    if (!this.#closed && existsSync(this.paths.logs)) this.#startReaper();
  }

  #startReaper(): void {
    const log = openSync(join(this.paths.logs, "reaper.log"), "a");
    const option = this.#temporary ? ["--remove"] : [];
    const reaper = spawn(ownNode, [...nodeFlags, join(checkoutRoot, "deploy/reaper.ts"), this.paths.root, ...option], {
      detached: true,
      cwd: "/",
      env: inheritedEnvironment,
      stdio: ["pipe", log, log],
    });
    closeSync(log);
    reaper.on("error", () => {});
    // Somebody killed it: there must be one for as long as there is something to stop.
    reaper.once("exit", () => setTimeout(() => this.#replaceReaper(), reaperRestartMs).unref());
    reaper.unref();
    const pipe = reaper.stdin as Socket;
    pipe.on("error", () => {});
    // Neither may keep a launcher alive that has nothing else to do.
    pipe.unref();
    this.#reaper = pipe;
    const identity = reaper.pid === undefined ? undefined : identify(reaper.pid);
    if (identity !== undefined) nameReaper(this.paths.lockFile, identity);
  }
}
