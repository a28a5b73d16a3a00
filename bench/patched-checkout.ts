/** A copy of the checkout, as it stands or with a patch in it, to run beside the original. */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { promisify } from "node:util";
import { inheritedEnvironment } from "#deploy/config.ts";
import { checkoutRoot } from "#deploy/own-node.ts";

const run = promisify(execFile);
const notCopied = new Set(["node_modules", ".git", ".urna", "dist", "results"]);

export class PatchedCheckout implements Disposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** `patch`: its path from the root of the checkout. Throws when it no longer applies. */
  static async make(name: string, patch?: string): Promise<PatchedCheckout> {
    const copy = new PatchedCheckout(mkdtempSync(join(tmpdir(), `urna-${name}-`)));
    cpSync(checkoutRoot, copy.folder, {
      recursive: true,
      filter: (path) => relative(checkoutRoot, path) === "" || !notCopied.has(basename(path)),
    });
    symlinkSync(join(checkoutRoot, "node_modules"), join(copy.folder, "node_modules"));
    try {
      if (patch !== undefined) await applyPatch(copy.folder, patch);
    } catch (error) {
      copy[Symbol.dispose]();
      throw error;
    }
    return copy;
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function applyPatch(folder: string, patch: string): Promise<void> {
  try {
    await run("git", ["apply", "--whitespace=nowarn", join(checkoutRoot, patch)], {
      cwd: folder,
      // Else a repository above the copy would decide what the paths mean.
      env: { ...inheritedEnvironment, GIT_CEILING_DIRECTORIES: tmpdir() },
    });
  } catch (error) {
    throw new Error(`${patch} no longer applies: ${(error as { stderr?: string }).stderr ?? error}`);
  }
}
