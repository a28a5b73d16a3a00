/**
 * The Go program in bench/verify, which checks receipts and checkpoints from outside: built once for each state of its
 * files, into a cache outside the checkout.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { developerEnvironment, requiredTools, userCacheFolder } from "#deploy/config.ts";

const run = promisify(execFile);

export const goModuleFolder = join(import.meta.dirname, "verify");
const goMinorMin = 22;
/** The library has a few hundred kilobytes; a proxy that takes longer is not there. */
const downloadLimitMs = 90_000;
/** The first build on a machine compiles Go's own library, too. */
const buildLimitMs = 300_000;
const askLimitMs = 30_000;
/** Lines about some thousand files. */
const outputBytesMax = 64 * 2 ** 20;

/** The Go tool that is on the PATH is the one that is used: it may not fetch another one. */
const goEnvironment = {
  ...developerEnvironment,
  GOTOOLCHAIN: "local",
  GOFLAGS: "-mod=readonly -buildvcs=false",
  GOWORK: "off",
  CGO_ENABLED: "0",
};

export type Verdict = {
  /** Whether nothing was refused. */
  readonly accepted: boolean;
  /** One for each thing that was checked, "ok: …" or "refused: …". */
  readonly lines: readonly string[];
};

/** Why the program cannot be built here, as a sentence; undefined when it can. */
export async function missingGo(): Promise<string | undefined> {
  const install = `Go 1.${goMinorMin} or newer, from your system's packages or https://go.dev/dl, with \`go\` on the PATH`;
  let version: string;
  try {
    // Not in the module's folder: a Go that is too old for the module might not say which it is.
    const { stdout } = await run("go", ["env", "GOVERSION"], {
      cwd: tmpdir(),
      env: goEnvironment,
      timeout: askLimitMs,
    });
    version = stdout.trim();
  } catch {
    return `there is no Go here; to run these tests, install ${install}`;
  }
  // A Go built from its sources calls itself "devel …".
  const minor = /^go1\.(\d+)/.exec(version)?.[1] ?? (version.startsWith("devel") ? goMinorMin : 0);
  return Number(minor) >= goMinorMin ? undefined : `Go here is ${version}; to run these tests, install ${install}`;
}

/** Whether tests may be skipped where Go is missing. URNA_REQUIRE=go forbids it. */
export const goIsRequired = requiredTools.includes("go");

export class GoVerifier {
  readonly #program: string;

  private constructor(program: string) {
    this.#program = program;
  }

  /** Builds it, or takes what an earlier run has built from the same files. Throws when the library cannot be had. */
  static async build(): Promise<GoVerifier> {
    const program = join(userCacheFolder, `verify-${process.platform}-${process.arch}-${await digestOfModule()}`);
    if (!(await exists(program))) await buildProgram(program);
    return new GoVerifier(program);
  }

  /** Throws when the program does not understand what it is asked. */
  async check(...args: readonly string[]): Promise<Verdict> {
    const ended = await runProgram(this.#program, args);
    const lines = ended.stdout.split("\n").slice(0, -1);
    const expected = lines.some((line) => !line.startsWith("ok: ")) ? 1 : 0;
    if (lines.length === 0 || ended.code !== expected) {
      throw new Error(`verify ${args[0]} ended with exit code ${ended.code}, and said: ${ended.stdout}${ended.stderr}`);
    }
    return { accepted: ended.code === 0, lines };
  }
}

/** What gofmt and go vet have to say of the module: nothing, when all is well. */
export async function goComplaints(): Promise<string> {
  const { stdout } = await run("gofmt", ["-l", "."], { cwd: goModuleFolder, env: goEnvironment, timeout: askLimitMs });
  const vetted = await go(["vet", "./..."], buildLimitMs).catch((error: unknown) => String(error));
  return stdout + vetted;
}

async function buildProgram(program: string): Promise<void> {
  await mkdir(userCacheFolder, { recursive: true });
  await go(["mod", "download"], downloadLimitMs).catch((error: unknown) => {
    const said = error instanceof Error ? error.message : String(error);
    throw new Error(
      `the Go library that bench/verify needs could not be fetched (in ${downloadLimitMs / 1_000} s at most). ` +
        `Can this machine reach a Go module proxy (see \`go env GOPROXY\`)? ${said}`,
    );
  });
  const draft = `${program}.${process.pid}.part`;
  try {
    await go(["build", "-trimpath", "-o", draft, "."], buildLimitMs, { GOPROXY: "off" });
    await rename(draft, program);
  } finally {
    await rm(draft, { force: true });
  }
}

/** Answers what it prints. Throws when it fails, or takes too long. */
async function go(args: readonly string[], limitMs: number, environment = {}): Promise<string> {
  const { stdout } = await run("go", args, {
    cwd: goModuleFolder,
    env: { ...goEnvironment, ...environment },
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  return stdout;
}

async function runProgram(program: string, args: readonly string[]) {
  const options = { timeout: askLimitMs, maxBuffer: outputBytesMax };
  return run(program, args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code?: unknown; stdout?: string; stderr?: string }) => {
      if (typeof error.code !== "number") throw error;
      return { code: error.code, stdout: error.stdout ?? "", stderr: error.stderr ?? "" };
    },
  );
}

async function digestOfModule(): Promise<string> {
  const names = (await readdir(goModuleFolder)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort();
  const digest = createHash("sha256");
  for (const name of names) digest.update(`${name}\n`).update(await readFile(join(goModuleFolder, name)));
  return digest.digest("hex").slice(0, 16);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
