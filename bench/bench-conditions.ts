/** What a figure is worth nothing without: the machine, the versions, the command and the date. */
import { execFile } from "node:child_process";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { promisify } from "node:util";

export type BenchConditions = {
  readonly date: string;
  readonly command: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly postgres: string;
};

export async function benchConditions(command: string, postgres: string): Promise<BenchConditions> {
  const processors = cpus();
  return {
    date: new Date().toISOString(),
    command,
    commit: await commitOf(),
    cpu: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    postgres,
  };
}

async function commitOf(): Promise<string> {
  const git = (...args: string[]) => promisify(execFile)("git", args, { cwd: import.meta.dirname });
  try {
    const { stdout } = await git("rev-parse", "--short", "HEAD");
    const { stdout: changes } = await git("status", "--porcelain", "--untracked-files=no");
    return stdout.trim() + (changes === "" ? "" : " with local changes");
  } catch {
    return "unknown: not a git checkout";
  }
}
