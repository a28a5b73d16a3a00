/**
 * The file of the highest checkpoints. It is replaced as a whole and flushed before it takes its name, so it holds one
 * moment's records, whatever dies. What cannot be verified in it is not believed: the file is set aside for people to look
 * at, and the entries that do verify are kept.
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#mesh/log.ts";
import { LedgerFormatError } from "#proto/ledger/ledger-format-error.ts";
import { parseRecord, recordText, type WitnessRecord } from "./witness-record.ts";

const fileName = "checkpoints.json";
const schemaVersion = 1;

export class WitnessFile {
  readonly path: string;
  readonly #folder: string;
  readonly #log: Logger;

  private constructor(folder: string, log: Logger) {
    this.path = join(folder, fileName);
    this.#folder = folder;
    this.#log = log;
  }

  /** Makes the folder where it is not there. */
  static async open(folder: string, log: Logger): Promise<WitnessFile> {
    await mkdir(folder, { recursive: true });
    return new WitnessFile(folder, log);
  }

  /** By shard; those that verify. */
  async read(deployment: string): Promise<Map<number, WitnessRecord>> {
    const text = await this.#text();
    const records = new Map<number, WitnessRecord>();
    const faults: string[] = [];
    for (const entry of text === undefined ? [] : entriesOf(text, faults)) {
      try {
        const { shardId, record } = parseRecord(entry, deployment);
        records.set(shardId, record);
      } catch (error) {
        if (!(error instanceof LedgerFormatError)) throw error;
        faults.push(error.message);
      }
    }
    if (faults.length > 0) await this.#setAside(faults, records);
    return records;
  }

  async write(records: readonly (readonly [number, WitnessRecord])[]): Promise<void> {
    const shards = [...records].sort(([a], [b]) => a - b).map(([shardId, record]) => recordText(shardId, record));
    const draft = `${this.path}.part`;
    const file = await open(draft, "w");
    try {
      await file.writeFile(`${JSON.stringify({ schema_version: schemaVersion, shards }, undefined, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, this.path);
    const folder = await open(this.#folder, "r");
    await folder.sync().finally(() => folder.close());
  }

  async #text(): Promise<string | undefined> {
    try {
      return await readFile(this.path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  async #setAside(faults: readonly string[], kept: ReadonlyMap<number, WitnessRecord>): Promise<void> {
    const aside = `${this.path}.damaged-${new Date().toISOString().replaceAll(":", "-")}`;
    await rename(this.path, aside);
    if (kept.size > 0) await this.write([...kept]);
    this.#log.error(
      { faults, aside, keptShards: [...kept.keys()] },
      "the file of the highest checkpoints is damaged: what does not verify was set aside, and is learned anew from the shards",
    );
  }
}

function entriesOf(text: string, faults: string[]): readonly unknown[] {
  try {
    const root = JSON.parse(text) as { schema_version?: unknown; shards?: unknown } | null;
    if (root?.schema_version === schemaVersion && Array.isArray(root.shards)) return root.shards;
    faults.push(`it is no list of shards of schema ${schemaVersion}`);
  } catch (error) {
    faults.push(String(error));
  }
  return [];
}
