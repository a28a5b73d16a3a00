/** Files that others read while we write them, and files that must not be lost. */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Replaces the file at once: a reader sees the old text or the new one. Flushed to the disk before the name is. */
export function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): void {
  const draft = `${path}.${process.pid}.part`;
  const file = openSync(draft, "w", mode);
  try {
    if (typeof content === "string") writeSync(file, content);
    else writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}

export function replaceJsonFile(path: string, value: unknown): void {
  replaceFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** The secret in this file; made on the first call, readable for this user alone. */
export function keepSecret(path: string, make: () => Uint8Array | string): Buffer {
  if (!existsSync(path)) replaceFile(path, make(), 0o600);
  return readFileSync(path);
}
