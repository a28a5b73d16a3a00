/**
 * The directory as Consul has it: the shard map from KV, addresses from the catalogue, each followed by a query that waits
 * for changes. Any server may answer those (the epoch says what is newer); `refresh` asks the leader. What was read whole is
 * kept while Consul is away, and in a file for the next process.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Directory, DirectoryView } from "#mesh/directory.ts";
import { nobodyAt } from "#mesh/directory.ts";
import type { Logger } from "#mesh/log.ts";
import { within } from "#mesh/time-limit.ts";
import { BlockingQuery } from "./blocking-query.ts";
import type { ConsulAnswer, ConsulClient } from "./consul-client.ts";
import { ConsulError } from "./consul-client.ts";
import type { ConsulTrouble } from "./consul-trouble.ts";
import type { DirectoryCache } from "./directory-cache.ts";
import { EndedProcesses } from "./ended-processes.ts";
import { mapKey } from "./map-document.ts";
import { RegistryPicture } from "./registry-picture.ts";
import { parseInstances } from "./service-instances.ts";

export type ConsulDirectoryParts = {
  readonly client: ConsulClient;
  readonly trouble: ConsulTrouble;
  readonly cache: DirectoryCache;
  readonly log: Logger;
  /** How long to wait for a first view when there is none in the cache. */
  readonly firstViewLimitMs?: number;
  /** Of a shard node: it makes the map, so it does not wait for one. */
  readonly startsWithoutMap?: boolean;
};

const firstViewMs = 30_000;
/** With a view in the cache, Consul's is waited for only so long. */
const fresherViewMs = 2_000;
const refreshLimitMs = 1_000;
const pollMs = 25;

/** Consul holds at most 512 KB under a key, in base64 here. */
const mapBytesMax = 1_000_000;
const servicesBytesMax = 16_000_000;

const sources = { map: "the shard map", shards: "the shards' nodes", tallies: "the tally" } as const;
type Source = keyof typeof sources;
const paths: Readonly<Record<Source, string>> = {
  map: `/kv/${mapKey}`,
  shards: "/health/service/urna-shard",
  tallies: "/health/service/urna-tally",
};

const noView: DirectoryView = { deployment: "", map: { epoch: 0, shards: [] }, tally: nobodyAt };

/** Throws when there is no view, neither from Consul nor from the cache, within the limit. */
export async function openConsulDirectory(parts: ConsulDirectoryParts): Promise<ConsulDirectory> {
  const cached = await parts.cache.read();
  const directory = new ConsulDirectory(parts, cached);
  const { firstViewLimitMs = firstViewMs, startsWithoutMap = false } = parts;
  const limitMs = cached !== undefined || startsWithoutMap ? fresherViewMs : firstViewLimitMs;
  if (await directory.firstView(limitMs, startsWithoutMap && cached === undefined)) return directory;
  if (cached !== undefined || startsWithoutMap) {
    parts.log.warn({ because: directory.trouble }, "started without a view from Consul");
    return directory;
  }
  directory.close();
  const { because } = parts.trouble;
  throw new Error(
    `no directory: ${directory.trouble}, and there is no cached one${because === "" ? "" : ` (${parts.client.address}: ${because})`}`,
  );
}

export class ConsulDirectory implements Directory {
  readonly #parts: ConsulDirectoryParts;
  readonly #picture: RegistryPicture;
  readonly #ended = new EndedProcesses();
  readonly #trouble: ConsulTrouble;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(view: DirectoryView) => void>();
  /** What has answered at least once. */
  readonly #heard = new Set<Source>();
  readonly #faults = new Map<Source, ReadonlySet<string>>();
  #view: DirectoryView;
  #toldMapProblem = "";
  #refreshing: Promise<void> | undefined;

  constructor(parts: ConsulDirectoryParts, cached: DirectoryView | undefined) {
    this.#parts = parts;
    this.#view = cached ?? noView;
    this.#picture = new RegistryPicture(cached, performance.now());
    this.#trouble = parts.trouble;
    for (const source of Object.keys(sources) as Source[]) void this.#follow(source);
  }

  get current(): DirectoryView {
    return this.#view;
  }

  get trouble(): string {
    const { mapProblem } = this.#picture;
    const { epoch } = this.#view.map;
    const stays = epoch === 0 ? "there is no shard map yet" : `the map of epoch ${epoch} stays in use`;
    const sentence = this.#trouble.sentence(performance.now());
    if (sentence !== "") return `${sentence}; ${stays}`;
    if (mapProblem === undefined) return `Consul has not answered yet; ${stays}`;
    return mapProblem === "" ? "" : `the shard map in Consul is not taken over: ${mapProblem}; ${stays}`;
  }

  hasEnded(process: string): boolean {
    return !this.#trouble.has(sources.shards) && this.#ended.has(process, performance.now());
  }

  onChange(listener: (view: DirectoryView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refresh(): Promise<void> {
    this.#refreshing ??= within(refreshLimitMs, this.#readAll()).finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  close(): void {
    this.#closing.abort();
    this.#listeners.clear();
  }

  /** Whether there was one from Consul within the limit, or at least an answer that there is none. */
  async firstView(limitMs: number, orNone: boolean): Promise<boolean> {
    const until = performance.now() + limitMs;
    while (performance.now() < until) {
      this.#show();
      if (this.#heard.size === 3 && (orNone || this.#picture.mapProblem === "")) return true;
      await delay(pollMs);
    }
    return false;
  }

  async #follow(source: Source): Promise<void> {
    const { client } = this.#parts;
    const query = new BlockingQuery({
      client,
      path: paths[source],
      bytesMax: bytesMaxOf(source),
      onAnswer: (answer) => {
        if (answer.startedAnew) this.#startedAnew();
        this.#take(source, answer);
      },
      onFailure: (error) => this.#failed(source, error),
    });
    await query.follow(this.#closing.signal);
  }

  async #readAll(): Promise<void> {
    const { client } = this.#parts;
    await Promise.all(
      (Object.keys(sources) as Source[]).map(async (source) => {
        const limits = { limitMs: refreshLimitMs, bytesMax: bytesMaxOf(source), signal: this.#closing.signal };
        const answer = await client.read(paths[source], {}, limits).catch(() => undefined);
        if (answer !== undefined && !this.#closing.signal.aborted) this.#take(source, answer);
      }),
    );
  }

  /** What an answer that is no answer says is not taken over. */
  #take(source: Source, answer: ConsulAnswer): void {
    const nowMs = performance.now();
    try {
      if (!answer.hasLeader) throw new ConsulError("failed", "Consul has no leader");
      this.#read(source, answer, nowMs);
    } catch (error) {
      this.#failed(source, error instanceof ConsulError ? error : new ConsulError("failed", (error as Error).message));
      return;
    }
    this.#heard.add(source);
    this.#trouble.worked(sources[source]);
    this.#show();
  }

  #read(source: Source, answer: ConsulAnswer, nowMs: number): void {
    if (source === "map") {
      const text = kvText(answer.body);
      if (text === undefined && this.#view.map.epoch > 0) this.#startedAnew();
      this.#picture.takeMap(text, nowMs);
      return;
    }
    const ofShards = source === "shards";
    const { instances, faults } = parseInstances(answer.body, ofShards ? "urna-shard" : "urna-tally", ofShards);
    if (answer.filtered && instances.length === 0) {
      throw new ConsulError("refused", "Consul lets this token see no services");
    }
    this.#tellFaults(source, faults);
    if (ofShards) {
      this.#picture.takeShards(instances, nowMs);
      this.#ended.update(instances, nowMs);
    } else {
      this.#picture.takeTallies(instances);
    }
  }

  #failed(source: Source, error: ConsulError): void {
    this.#trouble.failed(sources[source], error);
  }

  #startedAnew(): void {
    this.#picture.startedAnew(performance.now());
    this.#ended.startedAnew(performance.now());
  }

  #tellFaults(source: Source, faults: readonly string[]): void {
    const told = this.#faults.get(source);
    for (const fault of faults) {
      if (!told?.has(fault)) this.#parts.log.warn({ because: fault }, "a registration in Consul is ignored");
    }
    this.#faults.set(source, new Set(faults));
  }

  /** Tells what is new. */
  #show(): void {
    const { log, cache } = this.#parts;
    const view = this.#picture.view(performance.now());
    const problem = this.#picture.mapProblem ?? "";
    // Before everything was heard once, what is missing may be on the way.
    if (this.#heard.size === 3 && problem !== this.#toldMapProblem) {
      const { epoch } = this.#view.map;
      if (problem === "") log.info({ epoch: view?.map.epoch }, "the shard map in Consul is taken over");
      else log.warn({ because: problem, inUse: epoch }, "the shard map in Consul is not taken over");
      this.#toldMapProblem = problem;
    }
    if (view === undefined || JSON.stringify(view) === JSON.stringify(this.#view)) return;
    this.#view = view;
    cache.keep(view);
    for (const listener of this.#listeners) listener(view);
  }
}

function bytesMaxOf(source: Source): number {
  return source === "map" ? mapBytesMax : servicesBytesMax;
}

/** The value of a key, of an answer of /v1/kv; undefined where there is none. */
export function kvText(body: unknown): string | undefined {
  const [entry] = Array.isArray(body) ? (body as { Value?: unknown }[]) : [];
  return typeof entry?.Value === "string" ? Buffer.from(entry.Value, "base64").toString("utf8") : undefined;
}
