/**
 * Keeps the copy of the shard map in Consul's KV. Each shard's writer puts its own claim there, and whoever finds the
 * claims of all shards puts the map that they make beside them: by compare-and-set, together with the history, and never
 * one with a lower epoch. It looks every few seconds, so a copy that was lost or damaged is soon written again.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "#mesh/log.ts";
import type { ShardClaim, ShardMapPublisher } from "#mesh/shard-map-publisher.ts";
import type { ConsulClient } from "./consul-client.ts";
import { ConsulError } from "./consul-client.ts";
import type { ConsulTrouble } from "./consul-trouble.ts";
import type { MapDocument } from "./map-document.ts";
import {
  claimsPrefix,
  claimText,
  composeMap,
  historyPrefix,
  mapKey,
  mapText,
  parseClaim,
  parseMap,
} from "./map-document.ts";
import { RetryPause } from "./retry-pause.ts";

const what = "a place for the shard map";
const lookEveryMs = 2_000;
const readLimitMs = 2_000;
/** As many claims as there can be shards, each at most as large as Consul allows. */
const bytesMax = 16_000_000;

/** Of /v1/kv. */
type Entry = { readonly key: string; readonly text: string; readonly modifyIndex: number };

export class ConsulMapPublisher implements ShardMapPublisher {
  readonly #client: ConsulClient;
  readonly #trouble: ConsulTrouble;
  readonly #log: Logger;
  readonly #closing = new AbortController();
  readonly #pause = new RetryPause();
  #claim: ShardClaim | undefined;
  #wake: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #told = "";

  constructor(client: ConsulClient, trouble: ConsulTrouble, log: Logger) {
    this.#client = client;
    this.#trouble = trouble;
    this.#log = log;
  }

  claim(claim: ShardClaim | undefined): void {
    if (JSON.stringify(claim) === JSON.stringify(this.#claim)) return;
    this.#claim = claim;
    this.#wake();
    this.#running ??= this.#run(this.#closing.signal);
  }

  close(): void {
    this.#closing.abort();
    this.#wake();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      try {
        if (this.#claim !== undefined) await this.#publish(this.#claim);
        this.#pause.reset();
        this.#trouble.worked(what);
        const pauseMs = lookEveryMs * (0.75 + Math.random() / 2);
        await Promise.race([woken.promise, delay(pauseMs, undefined, { signal }).catch(() => undefined)]);
      } catch (error) {
        if (signal.aborted) return;
        const failure = error instanceof ConsulError ? error : new ConsulError("failed", String(error));
        if (failure.kind !== "conflict") this.#trouble.failed(what, failure);
        await this.#pause.wait(signal);
      }
    }
  }

  async #publish(own: ShardClaim): Promise<void> {
    const claims = await this.#entries(claimsPrefix, true);
    const mine = claims.find(({ key }) => key === `${claimsPrefix}${own.shardId}`);
    const standing = mine === undefined ? undefined : claimOf(mine);
    if (standing?.deployment === own.deployment && standing.mapEpoch > own.mapEpoch) {
      this.#tell(
        `Consul has a claim of shard ${own.shardId} of epoch ${standing.mapEpoch}, and its head is at ${own.mapEpoch}`,
      );
      return;
    }
    const text = claimText(own);
    if (mine?.text !== text && !(await this.#put(`${claimsPrefix}${own.shardId}`, text, mine?.modifyIndex ?? 0)))
      return;
    const others = claims.flatMap((entry) => (entry.key === mine?.key ? [] : (claimOf(entry) ?? [])));
    const map = composeMap([...others, own], own);
    this.#tell(typeof map === "string" ? `the claims of all shards make no map: ${map}` : "");
    if (typeof map !== "string") await this.#publishMap(map);
  }

  async #publishMap(map: MapDocument): Promise<void> {
    const [there] = await this.#entries(mapKey, false);
    const standing = there === undefined ? undefined : mapOf(there);
    if (standing !== undefined && standing.deployment === map.deployment && standing.epoch > map.epoch) {
      this.#tell(`Consul holds epoch ${standing.epoch} of the shard map, and the shards are at ${map.epoch}`);
      return;
    }
    const text = mapText(map);
    if (there?.text === text) return;
    const value = Buffer.from(text).toString("base64");
    const kept = Buffer.from(JSON.stringify({ published_at: new Date().toISOString(), map: JSON.parse(text) }));
    await this.#client.change((consul, options) =>
      consul.transaction.create(
        [
          operation({ Verb: "cas", Key: mapKey, Value: value, Index: there?.modifyIndex ?? 0 }),
          operation({ Verb: "set", Key: `${historyPrefix}${map.epoch}`, Value: kept.toString("base64") }),
        ],
        { operations: [], ...options },
      ),
    );
    this.#log.info({ epoch: map.epoch }, "the shard map is published");
  }

  /** False when somebody else was faster. */
  async #put(key: string, value: string, cas: number): Promise<boolean> {
    return await this.#client.change((consul, options) => consul.kv.set({ key, value, cas, ...options }));
  }

  async #entries(path: string, recurse: boolean): Promise<Entry[]> {
    const limits = { limitMs: readLimitMs, bytesMax, signal: this.#closing.signal };
    const { body } = await this.#client.read(`/kv/${path}`, { recurse }, limits);
    return kvEntries(body);
  }

  /** What keeps the copy from being up to date: once, until it changes. */
  #tell(problem: string): void {
    if (problem === this.#told) return;
    this.#told = problem;
    if (problem !== "") this.#log.warn({ because: problem }, "the shard map in Consul may be out of date");
  }
}

type Write =
  | { readonly Verb: "cas"; readonly Key: string; readonly Value: string; readonly Index: number }
  | { readonly Verb: "set"; readonly Key: string; readonly Value: string };

/** The declarations of npm's `consul` do not show the envelope that Consul wants. */
function operation(kv: Write): { verb: string; key: string } {
  return { KV: kv } as unknown as { verb: string; key: string };
}

/** Undefined where it cannot be read: it is written over. */
function claimOf({ text }: Entry): ShardClaim | undefined {
  try {
    return parseClaim(text);
  } catch {
    return undefined;
  }
}

function mapOf({ text }: Entry): MapDocument | undefined {
  try {
    return parseMap(text);
  } catch {
    return undefined;
  }
}

/** Of an answer of /v1/kv. */
export function kvEntries(body: unknown): Entry[] {
  if (!Array.isArray(body)) return [];
  return (body as { Key?: unknown; Value?: unknown; ModifyIndex?: unknown }[]).map((entry) => ({
    key: String(entry.Key),
    text: typeof entry.Value === "string" ? Buffer.from(entry.Value, "base64").toString("utf8") : "",
    modifyIndex: Number(entry.ModifyIndex),
  }));
}
