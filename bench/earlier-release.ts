/**
 * The release before this one, to roll from: the newest tag of the repository, unpacked beside it. Where there is none that
 * can be used, a copy of this checkout stands in, and the reason is kept.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { PatchedCheckout } from "#bench/patched-checkout.ts";
import { inheritedEnvironment } from "#deploy/config.ts";
import { checkoutRoot } from "#deploy/own-node.ts";

const run = promisify(execFile);
/** Of a copy of this checkout: no release is older. */
const copyVersion = "0.0.0";

export class EarlierRelease implements Disposable {
  readonly folder: string;
  readonly version: string;
  /** Why it is a copy of this checkout; undefined when it is a release. */
  readonly copiedBecause: string | undefined;

  private constructor(folder: string, version: string, copiedBecause: string | undefined) {
    this.folder = folder;
    this.version = version;
    this.copiedBecause = copiedBecause;
  }

  static async make(): Promise<EarlierRelease> {
    const tag = await newestTag();
    if (tag === undefined) return await EarlierRelease.#copy("this repository has no tag");
    const folder = mkdtempSync(join(tmpdir(), "urna-earlier-"));
    try {
      await unpack(tag, folder);
      const missing = unmetDependency(folder);
      if (missing === undefined) {
        symlinkSync(join(checkoutRoot, "node_modules"), join(folder, "node_modules"));
        return new EarlierRelease(folder, manifestOf(folder).version, undefined);
      }
      rmSync(folder, { recursive: true, force: true });
      return await EarlierRelease.#copy(`${tag} needs ${missing}, which is not what this checkout has installed`);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  static async #copy(because: string): Promise<EarlierRelease> {
    const { folder } = await PatchedCheckout.make("earlier");
    const file = join(folder, "package.json");
    writeFileSync(file, JSON.stringify({ ...manifestOf(folder), version: copyVersion }));
    return new EarlierRelease(folder, copyVersion, because);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Undefined also where this is no repository. */
async function newestTag(): Promise<string | undefined> {
  const list = ["tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD"];
  const { stdout } = await git(list).catch(() => ({ stdout: "" }));
  return stdout.split("\n")[0] || undefined;
}

async function unpack(tag: string, folder: string): Promise<void> {
  const archive = join(folder, "release.tar");
  await git(["archive", "--output", archive, tag]);
  await run("tar", ["-xf", archive, "-C", folder]);
  rmSync(archive);
}

function git(args: readonly string[]) {
  return run("git", [...args], { cwd: checkoutRoot, env: inheritedEnvironment });
}

type Manifest = { readonly version: string; readonly dependencies?: Readonly<Record<string, string>> };

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

/** All versions are pinned, so what is named alike is alike. */
function unmetDependency(folder: string): string | undefined {
  const ours = manifestOf(checkoutRoot).dependencies ?? {};
  const theirs = Object.entries(manifestOf(folder).dependencies ?? {});
  return theirs
    .map(([name, version]) => `${name} ${version}`)
    .find((needed) => {
      const [name = "", version] = needed.split(" ");
      return ours[name] !== version;
    });
}
