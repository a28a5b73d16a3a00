/**
 * Programs that are built from a Go module of this checkout: once for each state of its files, into a cache outside
 * the checkout. The Go that is on the PATH is the one that is used: it may not fetch another one.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { developerEnvironment, userCacheFolder } from "./config.ts";
import { releaseRunLock, untilLocked } from "./run-lock.ts";

const run = promisify(execFile);

const askLimitMs = 30_000;
const progressEveryMs = 15_000;

export const goEnvironment = {
  ...developerEnvironment,
  GOTOOLCHAIN: "local",
  GOFLAGS: "-mod=readonly -buildvcs=false",
  GOWORK: "off",
  CGO_ENABLED: "0",
};

export type GoProgram = {
  /** What people call it, with its version if it has one: for progress and errors. */
  readonly title: string;
  /** What its file in the cache is called, before platform and digest. */
  readonly cacheName: string;
  /** Where its go.mod is. */
  readonly folder: string;
  /** An import path, or "." */
  readonly package: string;
  readonly linkerFlags?: string;
  /** A proxy that takes longer is not there. */
  readonly downloadLimitMs: number;
  /** The first build on a machine compiles Go's own library, too. */
  readonly buildLimitMs: number;
};

/** Where `go` is looked for; a test gives its own. */
export const goPath = developerEnvironment["PATH"] ?? "";

/** Why the program cannot be built here, as a sentence; undefined when it can. `purpose`: "to build Consul". */
export async function missingGo(
  { folder }: Pick<GoProgram, "folder">,
  purpose: string,
  path = goPath,
): Promise<string | undefined> {
  const minorMin = await goMinorOf(folder);
  const install = `Go 1.${minorMin} or newer, from your system's packages or https://go.dev/dl, with \`go\` on the PATH`;
  let version: string;
  try {
    // Not in the module's folder: a Go that is too old for the module might not say which it is.
    const options = { cwd: tmpdir(), env: { ...goEnvironment, PATH: path }, timeout: askLimitMs };
    version = (await run("go", ["env", "GOVERSION"], options)).stdout.trim();
  } catch {
    return `there is no Go here; ${purpose}, install ${install}`;
  }
  // A Go built from its sources calls itself "devel …".
  const minor = /^go1\.(\d+)/.exec(version)?.[1] ?? (version.startsWith("devel") ? minorMin : 0);
  return Number(minor) >= minorMin ? undefined : `Go here is ${version}; ${purpose}, install ${install}`;
}

/** What an earlier run has built from the same files; undefined when none has. */
export async function builtProgram(program: GoProgram): Promise<string | undefined> {
  const path = await cachedPath(program);
  return existsSync(path) ? path : undefined;
}

async function cachedPath(program: GoProgram): Promise<string> {
  const digest = await digestOfModule(program);
  return join(userCacheFolder, `${program.cacheName}-${process.platform}-${process.arch}-${digest}`);
}

const builds = new Map<string, Promise<string>>();

/**
 * The path of the program, built unless an earlier run has built it from the same files. One process builds at a time,
 * others wait for it. Throws when what it needs cannot be had.
 */
export async function buildGoProgram(
  program: GoProgram,
  log: (line: string) => void = () => {},
  path = goPath,
): Promise<string> {
  const file = await cachedPath(program);
  if (existsSync(file)) return file;
  // Inside this process, too.
  const building = builds.get(file) ?? buildLocked(program, file, { log, path }).finally(() => builds.delete(file));
  builds.set(file, building);
  return building;
}

type BuildHost = { readonly log: (line: string) => void; readonly path: string };

async function buildLocked(program: GoProgram, file: string, host: BuildHost): Promise<string> {
  await mkdir(userCacheFolder, { recursive: true });
  const lockFile = `${file}.lock`;
  // A builder that was killed holds nothing; one that lives ends within its own limits.
  await untilLocked(userCacheFolder, lockFile, () =>
    host.log(`waiting for another process that builds ${program.title}`),
  );
  try {
    if (!existsSync(file)) await build(program, file, host);
    return file;
  } finally {
    releaseRunLock(lockFile);
  }
}

async function build(program: GoProgram, file: string, { log, path }: BuildHost): Promise<void> {
  const { title, folder, downloadLimitMs, buildLimitMs } = program;
  const draft = `${file}.${process.pid}.part`;
  const flags = ["-trimpath", ...(program.linkerFlags === undefined ? [] : [`-ldflags=${program.linkerFlags}`])];
  await removeDrafts(file);
  try {
    await withProgress(`downloading the Go modules of ${title}`, log, () =>
      go(folder, ["mod", "download"], downloadLimitMs, { PATH: path }),
    ).catch((error: unknown) => {
      throw new Error(
        `the Go modules that ${title} is built from could not be fetched (in ${downloadLimitMs / 1_000} s at most). ` +
          `Can this machine reach a Go module proxy (see \`go env GOPROXY\`)? ${describe(error)}`,
      );
    });
    await withProgress(`building ${title} from source, once for this machine`, log, () =>
      go(folder, ["build", ...flags, "-o", draft, program.package], buildLimitMs, { PATH: path, GOPROXY: "off" }),
    ).catch((error: unknown) => {
      throw new Error(`${title} could not be built (in ${buildLimitMs / 1_000} s at most): ${describe(error)}`);
    });
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Of builders that were killed: whoever holds the lock is the only one that builds. */
async function removeDrafts(file: string): Promise<void> {
  const isDraft = (name: string) =>
    name.startsWith(basename(file)) && /^\.\d+\.part$/.test(name.slice(basename(file).length));
  const drafts = (await readdir(userCacheFolder)).filter(isDraft);
  await Promise.all(drafts.map((name) => rm(join(userCacheFolder, name), { force: true })));
}

/** Answers what it prints. Throws when it fails, or takes too long. */
export async function go(folder: string, args: readonly string[], limitMs: number, environment = {}): Promise<string> {
  const { stdout } = await run("go", args, {
    cwd: folder,
    env: { ...goEnvironment, ...environment },
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  return stdout;
}

async function withProgress<T>(what: string, log: (line: string) => void, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1_000).toFixed(0)} s`;
  log(`${what} …`);
  const ticks = setInterval(() => log(`${what}: ${seconds()} so far`), progressEveryMs);
  try {
    const result = await work();
    log(`${what}: done in ${seconds()}`);
    return result;
  } finally {
    clearInterval(ticks);
  }
}

/** As its go.mod says. */
async function goMinorOf(folder: string): Promise<number> {
  const module = await readFile(join(folder, "go.mod"), "utf8");
  return Number(/^go 1\.(\d+)/m.exec(module)?.[1]);
}

/** Of everything that decides what is built. */
async function digestOfModule({ folder, linkerFlags = "" }: GoProgram): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort();
  const digest = createHash("sha256").update(`${linkerFlags}\n`);
  for (const name of names) digest.update(`${name}\n`).update(await readFile(join(folder, name)));
  return digest.digest("hex").slice(0, 16);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
