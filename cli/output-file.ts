/** A file that a command was asked to write: whole or not at all, never half. */
import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { replaceFile } from "#deploy/file-writing.ts";
import { UsageError } from "./exit-code.ts";

/** Readable for this user alone. */
export const ownerOnly = 0o600;
/** Readable for everybody. */
export const forAll = 0o644;

export class OutputFile {
  readonly path: string;
  readonly #option: string;

  /**
   * `option` is the one that named the file, for messages. Throws UsageError when it could not be written: a vote should not
   * have been cast before that is found.
   */
  constructor(option: string, name: string, folder: string) {
    this.path = resolve(folder, name);
    this.#option = option;
    try {
      accessSync(dirname(this.path), constants.W_OK);
    } catch (cause) {
      throw this.#refusal((cause as Error).message);
    }
    if (statSync(this.path, { throwIfNoEntry: false })?.isDirectory() === true) throw this.#refusal("it is a folder");
  }

  /** Replaces what the file held. */
  write(content: string | Uint8Array, mode: number): void {
    try {
      replaceFile(this.path, content, mode);
    } catch (cause) {
      throw this.#refusal((cause as Error).message);
    }
  }

  #refusal(cause: string): UsageError {
    return new UsageError(`${this.#option} ${this.path} cannot be written: ${cause}`);
  }
}
