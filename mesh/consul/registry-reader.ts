/** The registry read once, for an operator's command: nothing is followed, and the leader is asked. */
import type { ConsulClient } from "./consul-client.ts";
import { historyPrefix, mapKey } from "./map-document.ts";
import type { ServiceInstance } from "./service-instances.ts";
import { parseInstances } from "./service-instances.ts";
import { kvEntries } from "./shard-map-publisher.ts";

const limits = { limitMs: 3_000, bytesMax: 16_000_000 };

export type PublishedEpoch = {
  readonly epoch: number;
  /** When it was put there last, as its writer's clock had it; empty where that cannot be read. */
  readonly publishedAt: string;
};

export class RegistryReader {
  readonly #client: ConsulClient;
  readonly #signal: AbortSignal;

  constructor(client: ConsulClient, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
  }

  /** The shard map as it stands there, valid or not; undefined where there is none. Throws ConsulError, as all of these. */
  async map(): Promise<string | undefined> {
    return (await this.#entries(mapKey, false))[0]?.text;
  }

  /** The oldest first. */
  async history(): Promise<PublishedEpoch[]> {
    const epochs = (await this.#entries(historyPrefix, true)).map(({ key, text }) => ({
      epoch: Number(key.slice(historyPrefix.length)),
      publishedAt: publishedAt(text),
    }));
    return epochs.filter(({ epoch }) => Number.isSafeInteger(epoch)).sort((a, b) => a.epoch - b.epoch);
  }

  async shardNodes(): Promise<readonly ServiceInstance[]> {
    return await this.#instances("urna-shard", true);
  }

  async routers(): Promise<readonly ServiceInstance[]> {
    return await this.#instances("urna-router", false);
  }

  async #entries(path: string, recurse: boolean) {
    const { body } = await this.#client.read(`/kv/${path}`, { recurse }, { ...limits, signal: this.#signal });
    return kvEntries(body);
  }

  async #instances(service: string, ofShards: boolean): Promise<readonly ServiceInstance[]> {
    const answer = await this.#client.read(`/health/service/${service}`, {}, { ...limits, signal: this.#signal });
    return parseInstances(answer.body, service, ofShards).instances;
  }
}

function publishedAt(text: string): string {
  try {
    const { published_at } = JSON.parse(text) as { published_at?: unknown };
    return typeof published_at === "string" ? published_at : "";
  } catch {
    return "";
  }
}
