/** Another checkout of Urna, whose programs shall take the place of those that run. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { inheritedEnvironment } from "./config.ts";
import type { Release } from "./control-protocol.ts";
import { ControlError } from "./control-protocol.ts";
import { checkoutRoot, ownNode } from "./own-node.ts";
import type { RunState } from "./run-state.ts";

const run = promisify(execFile);
const bufLimitMs = 60_000;

/** What a launcher starts. */
const programs = ["router/main.ts", "tally/main.ts", "shard-node/main.ts", "shard-node/migrate.ts"];

export function ownRelease(): Release {
  return readRelease(checkoutRoot);
}

/** What a run's processes start from: what it was rolled to by this launcher, if that is still there, else this checkout. */
export function releaseOf({ release }: Pick<RunState, "release">, log: (line: string) => void): Release {
  if (release === undefined || release.launcher !== checkoutRoot) return ownRelease();
  try {
    return readRelease(release.checkout);
  } catch (error) {
    log(`${error instanceof Error ? error.message : error}; processes start from ${checkoutRoot} again`);
    return ownRelease();
  }
}

/** Throws ControlError INVALID_RELEASE unless the folder is a checkout that is ready to run. */
export function readRelease(path: string): Release {
  if (!isAbsolute(path)) throw unfit(path, "the path must be absolute");
  if (!existsSync(path)) throw unfit(path, "there is no such folder");
  const checkout = realpathSync(path);
  const { name, version } = readPackage(path, join(checkout, "package.json"));
  if (name !== "urna" || typeof version !== "string") throw unfit(path, "its package.json is not Urna's");
  const missing = programs.find((program) => !existsSync(join(checkout, program)));
  if (missing !== undefined) throw unfit(path, `it has no ${missing}`);
  if (!existsSync(join(checkout, "node_modules", "@grpc", "grpc-js"))) {
    throw unfit(path, "its dependencies are not installed: run npm ci there");
  }
  return { checkout, version };
}

/**
 * While a cluster is rolled, both releases speak to each other: one's contract must be the other's with additions, whichever
 * of the two is the newer one. Throws ControlError INVALID_RELEASE with what is not so.
 */
export async function demandCompatible(running: Release, next: Release): Promise<void> {
  const missing = [running, next].find(({ checkout }) => !existsSync(join(checkout, "buf.yaml")));
  if (missing !== undefined) throw unfit(next.checkout, `${missing.checkout} has no contract to compare (buf.yaml)`);
  const forward = await breakingChanges(next, running);
  if (forward === undefined) return;
  if ((await breakingChanges(running, next)) === undefined) return;
  throw unfit(next.checkout, `its contract breaks the one that runs: ${forward}`);
}

/** The first one; undefined when there is none. */
async function breakingChanges(newer: Release, older: Release): Promise<string | undefined> {
  const buf = join(checkoutRoot, "node_modules", ".bin", "buf");
  if (!existsSync(buf)) throw unfit(newer.checkout, `${buf}, which compares the contracts, is not installed`);
  try {
    await run(ownNode, [realpathSync(buf), "breaking", newer.checkout, "--against", older.checkout], {
      env: inheritedEnvironment,
      timeout: bufLimitMs,
    });
    return undefined;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return `${stdout}${stderr}`.trim().split("\n")[0] || String(error);
  }
}

function readPackage(path: string, file: string): { readonly name?: unknown; readonly version?: unknown } {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as object;
  } catch {
    throw unfit(path, "it has no package.json that can be read");
  }
}

function unfit(path: string, because: string): ControlError {
  return new ControlError("INVALID_RELEASE", `${path} cannot take over this run: ${because}`);
}
