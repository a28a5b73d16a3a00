/** The Node that services and tools run on: the one that npm brought, also when this process runs on another. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

export const checkoutRoot = resolve(import.meta.dirname, "..");

/** The Node that a checkout has brought; ours when it has none. */
export function nodeOf(checkout: string): string {
  const brought = join(checkout, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");
  return existsSync(brought) ? brought : process.execPath;
}

export const ownNode = nodeOf(checkoutRoot);

/** Node says on standard error that type stripping is in use; a log of JSON lines is no place for it. */
export const nodeFlags = ["--disable-warning=ExperimentalWarning"] as const;
