/** A copy of the checkout with one mistake in it, and what the tests say of it. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PatchedCheckout } from "#bench/patched-checkout.ts";
import { inheritedEnvironment } from "#deploy/config.ts";
import { ownNode } from "#deploy/own-node.ts";

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
  readonly #copy: PatchedCheckout;

  private constructor(copy: PatchedCheckout) {
    this.#copy = copy;
  }

  /** `name` of a file in bench/mutants. Throws when its patch no longer applies. */
  static async make(name: string): Promise<Mutant> {
    return new Mutant(await PatchedCheckout.make(`mutant-${name}`, `bench/mutants/${name}.patch`));
  }

  /** Runs tests of the copy. */
  async test({ project, file, title }: MutantTest): Promise<MutantVerdict> {
    const { folder } = this.#copy;
    const report = join(folder, "report.json");
    const args = ["run", "--project", project, "--reporter=json", `--outputFile=${report}`, file, "-t", title];
    const vitest = join(folder, "node_modules/vitest/vitest.mjs");
    const child = spawn(ownNode, [vitest, ...args], { cwd: folder, env: inheritedEnvironment, stdio: "ignore" });
    await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
    const { numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
    const failed = testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === "failed"),
    );
    return { passed: numPassedTests, failures: failed.map(({ failureMessages = [] }) => failureMessages.join("\n")) };
  }

  [Symbol.dispose](): void {
    this.#copy[Symbol.dispose]();
  }
}
