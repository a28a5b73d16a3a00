/** A copy of the checkout with one mistake in it, and what the tests say of it. */
import { execFile, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { promisify } from "node:util";
import { inheritedEnvironment } from "#deploy/config.ts";
import { checkoutRoot, ownNode } from "#deploy/own-node.ts";

const run = promisify(execFile);
const notCopied = new Set(["node_modules", ".git", ".urna", "dist", "results"]);

export type MutantTest = {
  readonly project: "cluster" | "faults";
  readonly file: string;
  /** A part of the titles that are run. */
  readonly title: string;
};

/** Of vitest's JSON report, what is read here. */
type Report = {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly failureMessages?: readonly string[] }[];
  }[];
};

export type MutantVerdict = { readonly passed: number; readonly failures: readonly string[] };

export class Mutant implements Disposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** `name` of a file in bench/mutants. Throws when its patch no longer applies. */
  static async make(name: string): Promise<Mutant> {
    const mutant = new Mutant(mkdtempSync(join(tmpdir(), `urna-mutant-${name}-`)));
    const folder = mutant.#folder;
    cpSync(checkoutRoot, folder, {
      recursive: true,
      filter: (path) => relative(checkoutRoot, path) === "" || !notCopied.has(basename(path)),
    });
    symlinkSync(join(checkoutRoot, "node_modules"), join(folder, "node_modules"));
    try {
      await run("git", ["apply", "--whitespace=nowarn", join(checkoutRoot, "bench/mutants", `${name}.patch`)], {
        cwd: folder,
        // Else a repository above the copy would decide what the paths mean.
        env: { ...inheritedEnvironment, GIT_CEILING_DIRECTORIES: tmpdir() },
      });
    } catch (error) {
      mutant[Symbol.dispose]();
      throw new Error(
        `bench/mutants/${name}.patch no longer applies: ${(error as { stderr?: string }).stderr ?? error}`,
      );
    }
    return mutant;
  }

  /** Runs tests of the copy. */
  async test({ project, file, title }: MutantTest): Promise<MutantVerdict> {
    const report = join(this.#folder, "report.json");
    const args = ["run", "--project", project, "--reporter=json", `--outputFile=${report}`, file, "-t", title];
    const vitest = join(this.#folder, "node_modules/vitest/vitest.mjs");
    const child = spawn(ownNode, [vitest, ...args], { cwd: this.#folder, env: inheritedEnvironment, stdio: "ignore" });
    await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
    const failed = testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === "failed"),
    );
    return { passed: numPassedTests, failures: failed.map(({ failureMessages = [] }) => failureMessages.join("\n")) };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
