/** The Redis of this machine; root on Debian gets it from the system's packages when there is none. */
import { execFile } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { developerEnvironment, userCacheFolder } from "./config.ts";
import { releaseRunLock, untilLocked } from "./run-lock.ts";
import { redis } from "./tool-catalogue.ts";
import type { ToolPlaces } from "./tool-search.ts";
import { onPath, searchTool, ToolMissingError, toolPlaces } from "./tool-search.ts";

const run = promisify(execFile);

const installLimitMs = 300_000;
const outputBytesMax = 16 * 2 ** 20;
/** Debian asks this program whether a package may start its services; 101 is no. */
const policyFile = "/usr/sbin/policy-rc.d";
const lockFile = join(userCacheFolder, "apt.lock");

/** Answers the path of redis-server. Throws ToolMissingError, with what to do about it. */
export async function findRedis(log: (line: string) => void, places: ToolPlaces = toolPlaces): Promise<string> {
  const found = await searchTool(redis, places);
  if (found.path !== undefined) return found.path;
  const advice = "install Redis 7 or newer from your system's packages, or name its redis-server with URNA_REDIS=PATH";
  if (process.getuid?.() !== 0 || onPath("apt-get", places.path) === undefined) {
    throw new ToolMissingError(`${found.why}; ${advice}`);
  }
  await mkdir(userCacheFolder, { recursive: true });
  await untilLocked(userCacheFolder, lockFile, () => log("waiting for another process that installs Redis"));
  try {
    // The one before us may have done it.
    if ((await searchTool(redis, places)).path === undefined) await installWithoutStarting("redis-server", log);
  } catch (error) {
    throw new ToolMissingError(
      `${found.why}, and apt-get could not install it (${error instanceof Error ? error.message : error}); ${advice}`,
    );
  } finally {
    releaseRunLock(lockFile);
  }
  const installed = await searchTool(redis, places);
  if (installed.path === undefined) {
    throw new ToolMissingError(`apt-get has installed redis-server, but ${installed.why}; ${advice}`);
  }
  return installed.path;
}

/** The machine's own service must not run: ours has its own settings, and stops with us. */
async function installWithoutStarting(name: string, log: (line: string) => void): Promise<void> {
  const mustAnswer = !existsSync(policyFile);
  if (mustAnswer) writeFileSync(policyFile, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    log(`installing ${name} from the system's packages …`);
    await install(name).catch(async () => {
      log("fetching the lists of the system's packages …");
      await apt("update");
      await install(name);
    });
  } finally {
    if (mustAnswer) rmSync(policyFile, { force: true });
  }
}

const install = (name: string) => apt("install", "-y", "--no-install-recommends", name);

async function apt(...args: readonly string[]): Promise<void> {
  await run("apt-get", ["-q", "-o", "DPkg::Lock::Timeout=120", ...args], {
    env: { ...developerEnvironment, DEBIAN_FRONTEND: "noninteractive" },
    timeout: installLimitMs,
    maxBuffer: outputBytesMax,
  });
}
