/** The last whole view of a directory, in a file: what a process starts from while the registry is away. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { DirectoryView } from "#mesh/directory.ts";
import type { Logger } from "#mesh/log.ts";
import { directoryText, parseDirectory } from "#mesh/static-directory.ts";

export class DirectoryCache {
  readonly #file: string;
  readonly #log: Logger;
  #next: DirectoryView | undefined;
  #writing: Promise<void> | undefined;
  #troubled = false;

  constructor(file: string, log: Logger) {
    this.#file = file;
    this.#log = log;
  }

  /** Undefined when there is none that can be used. */
  async read(): Promise<DirectoryView | undefined> {
    try {
      return parseDirectory(await readFile(this.#file, "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        this.#log.warn({ err: error, file: this.#file }, "the cached directory cannot be used");
      }
      return undefined;
    }
  }

  /** The latest one wins. Never throws: a process goes on without a cache. */
  keep(view: DirectoryView): void {
    this.#next = view;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** What is kept is in the file. */
  async written(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#next !== undefined) {
      const text = directoryText(this.#next);
      this.#next = undefined;
      try {
        await replaceFile(this.#file, text);
        this.#troubled = false;
      } catch (error) {
        if (!this.#troubled) this.#log.warn({ err: error, file: this.#file }, "the directory cannot be cached");
        this.#troubled = true;
      }
    }
  }
}

/** Whoever reads meanwhile sees the old content or the new one. */
export async function replaceFile(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}.part`;
  await writeFile(draft, text, { flush: true });
  await rename(draft, file);
}
