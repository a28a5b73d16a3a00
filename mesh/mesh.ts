/** What makes a process a part of the mesh: who is where, who it is itself, and where it says how it stands. */
import type { Announcer } from "#mesh/announcer.ts";
import { silentAnnouncer } from "#mesh/announcer.ts";
import type { Directory } from "#mesh/directory.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Intentions } from "#mesh/intentions.ts";
import { noIntentions } from "#mesh/intentions.ts";
import type { Logger } from "#mesh/log.ts";
import type { MeshConfig } from "#mesh/mesh-config.ts";
import type { ShardMapPublisher } from "#mesh/shard-map-publisher.ts";
import { silentPublisher } from "#mesh/shard-map-publisher.ts";
import { openStaticDirectory } from "#mesh/static-directory.ts";

export type Mesh = {
  readonly directory: Directory;
  readonly announcer: Announcer;
  /** Which calls operators have cut off. */
  readonly intentions: Intentions;
  readonly mapPublisher: ShardMapPublisher;
  /** Undefined: plaintext. */
  readonly identity: Identity | undefined;
  close(): void;
};

/** Throws when discovery cannot be read and there is no earlier view of it. */
export async function openMesh({ discovery }: MeshConfig, log: Logger): Promise<Mesh> {
  if (discovery.kind === "consul") throw new Error("discovery through Consul is not built yet");
  return plaintextMesh(await openStaticDirectory(discovery.file, log));
}

/** A mesh of nothing but a directory: everybody is trusted, and nobody is told how this process stands. */
export function plaintextMesh(directory: Directory): Mesh {
  return {
    directory,
    announcer: silentAnnouncer,
    intentions: noIntentions,
    mapPublisher: silentPublisher,
    identity: undefined,
    close: () => directory.close(),
  };
}
