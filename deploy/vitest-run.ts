/** Runs one vitest project and counts what it did. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developerEnvironment } from "./config.ts";
import { checkoutRoot, ownNode } from "./own-node.ts";

export type TestCounts = { readonly passed: number; readonly failed: number; readonly skipped: number };

/** Of vitest's JSON reporter, what is read here. */
type JsonReport = {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
};

/** `filters` are parts of file names. A project without a fitting file counts nothing. */
export async function runVitest(project: string, filters: readonly string[]): Promise<TestCounts> {
  const folder = mkdtempSync(join(tmpdir(), "urna-vitest-"));
  const report = join(folder, "report.json");
  const vitest = join(checkoutRoot, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const args = [vitest, "run", "--project", project, "--passWithNoTests", ...reporters, ...filters];
  const child = spawn(ownNode, args, { cwd: checkoutRoot, env: developerEnvironment, stdio: ["ignore", 1, 2] });
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("exit", resolve);
  });
  try {
    return countsOf(JSON.parse(readFileSync(report, "utf8")) as JsonReport, code === 0);
  } catch {
    return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file that cannot be loaded, or an error outside of every test, fails too. */
function countsOf(report: JsonReport, succeeded: boolean): TestCounts {
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  ).length;
  const failed = report.numFailedTests + brokenFiles;
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !succeeded ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}
