/** All that a process has with Consul, over one client: opened together, closed together. */
import type { Logger } from "#mesh/log.ts";
import type { ConsulConfig } from "#mesh/mesh-config.ts";
import { ConsulAnnouncer } from "./consul-announcer.ts";
import { ConsulClient } from "./consul-client.ts";
import type { ConsulDirectory } from "./consul-directory.ts";
import { openConsulDirectory } from "./consul-directory.ts";
import { ConsulTrouble } from "./consul-trouble.ts";
import { DirectoryCache } from "./directory-cache.ts";
import type { IntentionBook } from "./intention-book.ts";
import { openIntentionBook } from "./intention-book.ts";
import { ConsulMapPublisher } from "./shard-map-publisher.ts";

export type ConsulMesh = {
  readonly directory: ConsulDirectory;
  readonly announcer: ConsulAnnouncer;
  readonly intentions: IntentionBook;
  readonly mapPublisher: ConsulMapPublisher;
  close(): void;
};

export type ConsulMeshOptions = { readonly startsWithoutMap?: boolean; readonly firstViewLimitMs?: number };

/** Throws when a file cannot be read, and when neither Consul nor the cache has a directory. */
export async function openConsulMesh(
  config: ConsulConfig,
  log: Logger,
  options: ConsulMeshOptions = {},
): Promise<ConsulMesh> {
  const client = new ConsulClient(config);
  const trouble = new ConsulTrouble(config.address, log);
  try {
    const cache = new DirectoryCache(config.cacheFile, log);
    const intentions = await openIntentionBook({ client, trouble, file: intentionsFile(config), log });
    const directory = await openConsulDirectory({ client, trouble, cache, log, ...options });
    const announcer = new ConsulAnnouncer(client, trouble, log);
    const mapPublisher = new ConsulMapPublisher(client, trouble, log);
    const parts = [directory, announcer, intentions, mapPublisher, client];
    const close = () => {
      for (const part of parts) part.close();
    };
    return { directory, announcer, intentions, mapPublisher, close };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** Beside the cached directory. */
function intentionsFile({ cacheFile }: ConsulConfig): string {
  return `${cacheFile.replace(/\.json$/, "")}-intentions.json`;
}
