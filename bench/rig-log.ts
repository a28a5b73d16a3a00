/** Reads a log file while its process writes it: the proof that a fault really happened. */
import { readFile } from "node:fs/promises";
import { waitFor } from "#deploy/wait-for.ts";

const limitMs = 20_000;

export class RigLog {
  readonly #file: string;
  #from = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** From here on; what was written before is no proof. */
  async mark(): Promise<void> {
    this.#from = (await this.#read()).length;
  }

  /** What was written since the mark. */
  async since(): Promise<string> {
    return (await this.#read()).subarray(this.#from).toString();
  }

  /** Its last lines, under its name. */
  async tail(lines = 25): Promise<string> {
    const text = (await this.#read()).toString().trimEnd();
    return [`${this.#file}:`, ...text.split("\n").slice(-lines)].join("\n  ");
  }

  async has(pattern: RegExp): Promise<boolean> {
    return pattern.test(await this.since());
  }

  /** Waits for a line since the mark, and answers what the pattern matched. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    return await waitFor(`${this.#file} to say ${pattern}`, limitMs, async () => {
      return pattern.exec(await this.since()) ?? undefined;
    });
  }

  async #read(): Promise<Buffer> {
    return await readFile(this.#file).catch(() => Buffer.alloc(0));
  }
}
