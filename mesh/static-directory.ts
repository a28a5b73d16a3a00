/** A directory kept in one JSON file, which the launcher writes and everybody watches. */
import type { FSWatcher } from "node:fs";
import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { Directory, DirectoryView, ShardEntry } from "#mesh/directory.ts";
import { parseHostPort } from "#mesh/host-port.ts";
import type { Logger } from "#mesh/log.ts";
import type { SlotRange } from "#proto/slots.ts";
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

/** Throws an Error that names the field. */
export function parseDirectory(text: string): DirectoryView {
  const root = record(JSON.parse(text), "the file");
  demand(root["schema_version"] === 1, "schema_version must be 1");
  const map = record(root["map"], "map");
  const shards = list(map["shards"], "map.shards").map(parseShard);
  slotTable(shards);
  return {
    deployment: string(root["deployment"], "deployment"),
    map: { epoch: integer(map["epoch"], "map.epoch"), shards },
    tally: address(root["tally"], "tally"),
  };
}

function parseShard(value: unknown, index: number): ShardEntry {
  const at = `map.shards[${index}]`;
  const shard = record(value, at);
  return {
    shardId: integer(shard["id"], `${at}.id`),
    slots: list(shard["slots"], `${at}.slots`).map((range) => parseRange(range, `${at}.slots`)),
    nodes: list(shard["nodes"], `${at}.nodes`).map((node) => address(node, `${at}.nodes`)),
  };
}

function parseRange(value: unknown, at: string): SlotRange {
  const [first, last, ...more] = list(value, at);
  demand(more.length === 0, `${at} must be pairs of first and last slot`);
  return [integer(first, at), integer(last, at)];
}

function demand(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new Error(`directory: ${problem}`);
}

function record(value: unknown, at: string): Readonly<Record<string, unknown>> {
  demand(typeof value === "object" && value !== null && !Array.isArray(value), `${at} must be an object`);
  return value as Readonly<Record<string, unknown>>;
}

function list(value: unknown, at: string): readonly unknown[] {
  demand(Array.isArray(value), `${at} must be a list`);
  return value;
}

function string(value: unknown, at: string): string {
  demand(typeof value === "string" && value !== "", `${at} must be a text`);
  return value;
}

function address(value: unknown, at: string): string {
  const text = string(value, at);
  demand(parseHostPort(text) !== undefined, `${at} "${text}" must be host:port`);
  return text;
}

function integer(value: unknown, at: string): number {
  demand(typeof value === "number" && Number.isSafeInteger(value) && value >= 0, `${at} must be a whole number`);
  return value;
}
