/** A directory kept in one JSON file, which the launcher writes and everybody watches. */
import type { FSWatcher } from "node:fs";
import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { Directory, DirectoryView, ShardEntry } from "#mesh/directory.ts";
import { JsonReader } from "#mesh/json-reader.ts";
import type { Logger } from "#mesh/log.ts";
import { slotTable } from "#proto/slots.ts";

/** Throws when the file cannot be read or is not valid; later faults of the file are logged, and the last view stays. */
export async function openStaticDirectory(file: string, log?: Logger): Promise<StaticDirectory> {
  const text = await readFile(file, "utf8");
  return new StaticDirectory(file, text, log);
}

export class StaticDirectory implements Directory {
  readonly #file: string;
  readonly #log: Logger | undefined;
  readonly #listeners = new Set<(view: DirectoryView) => void>();
  readonly #watcher: FSWatcher;
  #text: string;
  #view: DirectoryView;
  #reading: Promise<void> | undefined;
  #trouble = "";

  constructor(file: string, text: string, log?: Logger) {
    this.#file = resolve(file);
    this.#log = log;
    this.#text = text;
    this.#view = parseDirectory(text);
    // The folder is watched, not the file: a file that is replaced by a rename takes its watcher with it.
    this.#watcher = watch(dirname(this.#file), { persistent: false }, (_event, name) => {
      if (name === null || name === basename(this.#file)) void this.refresh();
    });
    this.#watcher.on("error", (error) => this.#log?.warn({ err: error }, "the directory file is no longer watched"));
  }

  get current(): DirectoryView {
    return this.#view;
  }

  get trouble(): string {
    return this.#trouble;
  }

  /** A file knows nothing of processes. */
  hasEnded(): boolean {
    return false;
  }

  onChange(listener: (view: DirectoryView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  close(): void {
    this.#watcher.close();
    this.#listeners.clear();
  }

  async #read(): Promise<void> {
    try {
      const text = await readFile(this.#file, "utf8");
      if (text === this.#text) {
        this.#trouble = "";
        return;
      }
      const view = parseDirectory(text);
      if (view.map.epoch < this.#view.map.epoch) throw new Error(`map epoch went back to ${view.map.epoch}`);
      this.#text = text;
      this.#view = view;
      this.#trouble = "";
    } catch (error) {
      // A half-written or missing file must not stop votes: the last good view stays.
      this.#trouble = `the directory file was not taken over: ${error instanceof Error ? error.message : error}`;
      this.#log?.warn({ err: error }, "the directory file was not taken over");
      return;
    }
    for (const listener of this.#listeners) listener(this.#view);
  }
}

/** The file of a view. */
export function directoryText({ deployment, map, tally }: DirectoryView): string {
  const shards = map.shards.map(({ shardId, slots, nodes }) => ({ id: shardId, slots, nodes }));
  return `${JSON.stringify({ schema_version: 1, deployment, map: { epoch: map.epoch, shards }, tally }, undefined, 2)}\n`;
}

const reader: JsonReader = new JsonReader("directory");

/** Throws an Error that names the field. */
export function parseDirectory(text: string): DirectoryView {
  const root = reader.record(reader.parse(text), "the file");
  reader.demand(root["schema_version"] === 1, "schema_version must be 1");
  const map = reader.record(root["map"], "map");
  const shards = reader.list(map["shards"], "map.shards").map(parseShard);
  slotTable(shards);
  return {
    deployment: reader.text(root["deployment"], "deployment"),
    map: { epoch: reader.integer(map["epoch"], "map.epoch"), shards },
    tally: reader.address(root["tally"], "tally"),
  };
}

function parseShard(value: unknown, index: number): ShardEntry {
  const at = `map.shards[${index}]`;
  const shard = reader.record(value, at);
  return {
    shardId: reader.shardId(shard["id"], `${at}.id`),
    slots: reader.slots(shard["slots"], `${at}.slots`),
    nodes: reader.list(shard["nodes"], `${at}.nodes`).map((node) => reader.address(node, `${at}.nodes`)),
  };
}
