/** The Node that services and tools run on: the one that npm brought, also when this process runs on another. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

export const checkoutRoot = resolve(import.meta.dirname, "..");

const brought = join(checkoutRoot, "node_modules", `node-${process.platform}-${process.arch}`, "bin", "node");

export const ownNode = existsSync(brought) ? brought : process.execPath;

/** Node says on standard error that type stripping is in use; a log of JSON lines is no place for it. */
export const nodeFlags = ["--disable-warning=ExperimentalWarning"] as const;
