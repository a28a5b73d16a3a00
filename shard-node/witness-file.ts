/** The highest checkpoint that this node has published, in a file: it outlives the process and does not go back with the database. */
import { mkdirSync, readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

const name = "checkpoint";

export class WitnessFile {
  readonly path: string;

  /** Makes the folder where it is not there. */
  constructor(stateFolder: string) {
    mkdirSync(stateFolder, { recursive: true });
    this.path = join(stateFolder, name);
  }

  /** Replaces the note at once. Not flushed: a machine that loses its disk cache has the tally's word. */
  async keep(note: Uint8Array): Promise<void> {
    const draft = `${this.path}.part`;
    await writeFile(draft, note);
    await rename(draft, this.path);
  }

  /** Undefined before the first. */
  read(): Buffer | undefined {
    try {
      return readFileSync(this.path);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }
}
