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

  /**
   * Replaces the note at once. Flushed before it takes the old one's place: after a loss of power an empty file would stand
   * there, which says of a whole ledger that it is not the published one.
   */
  async keep(note: Uint8Array): Promise<void> {
    const draft = `${this.path}.part`;
    await writeFile(draft, note, { flush: true });
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
