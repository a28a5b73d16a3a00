/**
 * The secrets of a Consul cluster, each in a file of its own that its owner alone can read: made on the first start and
 * kept, so that a Consul whose data is lost comes back with the same tokens, and nobody needs a new one.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import type { ConsulHolder } from "./consul-policies.ts";
import { keepSecret } from "./file-writing.ts";

const gossipKeyBytes = 32;

export class ConsulSecrets {
  readonly #folder: string;

  /** The folder must exist. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** May do everything: for the bootstrap alone. */
  get managementToken(): string {
    return keepText(this.managementTokenFile, randomUUID);
  }

  get managementTokenFile(): string {
    return join(this.#folder, "consul-management-token");
  }

  token(holder: ConsulHolder): string {
    return keepText(this.tokenFile(holder), randomUUID);
  }

  tokenFile(holder: ConsulHolder): string {
    return join(this.#folder, `consul-${holder}-token`);
  }

  /** What agents encrypt their gossip with. */
  get gossipKey(): string {
    return keepText(join(this.#folder, "consul-gossip-key"), () => randomBytes(gossipKeyBytes).toString("base64"));
  }
}

function keepText(path: string, make: () => string): string {
  return keepSecret(path, () => `${make()}\n`)
    .toString()
    .trim();
}
