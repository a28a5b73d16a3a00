/**
 * The Go program in bench/verify, which checks receipts and checkpoints from outside: built once for each state of its
 * files, into a cache outside the checkout.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { requiredTools } from "#deploy/config.ts";
import type { GoProgram } from "#deploy/go-module.ts";
import { buildGoProgram, go, goEnvironment, missingGo as missingGoFor } from "#deploy/go-module.ts";

const run = promisify(execFile);

export const goModuleFolder = join(import.meta.dirname, "verify");
const verifier: GoProgram = {
  title: "bench/verify",
  cacheName: "verify",
  folder: goModuleFolder,
  package: ".",
  /** The library has a few hundred kilobytes. */
  downloadLimitMs: 90_000,
  buildLimitMs: 300_000,
};
const askLimitMs = 30_000;
/** Lines about some thousand files. */
const outputBytesMax = 64 * 2 ** 20;

export type Verdict = {
  /** Whether nothing was refused. */
  readonly accepted: boolean;
  /** One for each thing that was checked, "ok: …" or "refused: …". */
  readonly lines: readonly string[];
};

/** Why the program cannot be built here, as a sentence; undefined when it can. */
export const missingGo = (): Promise<string | undefined> => missingGoFor(verifier, "to run these tests");

/** Whether tests may be skipped where Go is missing. URNA_REQUIRE=go forbids it. */
export const goIsRequired = requiredTools.includes("go");

export class GoVerifier {
  readonly #program: string;

  private constructor(program: string) {
    this.#program = program;
  }

  /** Builds it, or takes what an earlier run has built from the same files. Throws when the library cannot be had. */
  static async build(): Promise<GoVerifier> {
    return new GoVerifier(await buildGoProgram(verifier));
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
  const vetted = await go(goModuleFolder, ["vet", "./..."], verifier.buildLimitMs).catch((error: unknown) =>
    String(error),
  );
  return stdout + vetted;
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
