/** Postgres refuses to run as root: this finds the user it runs as instead. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

export type UnprivilegedUser = { readonly name: string; readonly uid: number; readonly gid: number };

/** In this order: the account that Debian's packages make, then the one that every system has. */
const candidates = ["postgres", "nobody"];

/** Undefined when we are not root: then Postgres runs as whoever we are. */
export function findPostgresUser(passwdFile = "/etc/passwd"): UnprivilegedUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = parsePasswd(readFileSync(passwdFile, "utf8"));
  for (const name of candidates) {
    const account = accounts.get(name);
    if (account !== undefined && account.uid !== 0) return account;
  }
  throw new Error(
    `Postgres cannot run as root, and ${passwdFile} has neither of the users ${candidates.join(", ")}. ` +
      "Add one (useradd --system postgres), or start as another user than root.",
  );
}

export function parsePasswd(text: string): Map<string, UnprivilegedUser> {
  const accounts = new Map<string, UnprivilegedUser>();
  for (const line of text.split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name && /^\d+$/.test(uid ?? "") && /^\d+$/.test(gid ?? "")) {
      accounts.set(name, { name, uid: Number(uid), gid: Number(gid) });
    }
  }
  return accounts;
}

/** What spawn needs to run a command as this user. */
export function asUser(user: UnprivilegedUser | undefined): { uid?: number; gid?: number } {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid };
}

/** Whether the user can enter this folder: tried, because mode bits alone do not say it. */
export function canEnter(user: UnprivilegedUser | undefined, folder: string): boolean {
  const shell = spawnSync("/bin/sh", ["-c", 'cd -- "$1"', "sh", folder], {
    cwd: "/",
    stdio: "ignore",
    ...asUser(user),
  });
  return shell.status === 0;
}
