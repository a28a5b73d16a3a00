/** What makes a process a part of the mesh: who is where, who it is itself, and where it says how it stands. */
import type { Announcer } from "#mesh/announcer.ts";
import { silentAnnouncer } from "#mesh/announcer.ts";
import { openConsulMesh } from "#mesh/consul/consul-mesh.ts";
import type { Directory } from "#mesh/directory.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Intentions } from "#mesh/intentions.ts";
import { noIntentions } from "#mesh/intentions.ts";
import type { Logger } from "#mesh/log.ts";
import type { MeshConfig } from "#mesh/mesh-config.ts";
import type { ShardMapPublisher } from "#mesh/shard-map-publisher.ts";
import { silentPublisher } from "#mesh/shard-map-publisher.ts";
import { openStaticDirectory } from "#mesh/static-directory.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";

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

export type MeshOptions = {
  /** Of a shard node: shards make the map, so they do not wait for it. Their view is empty until there is one. */
  readonly startsWithoutMap?: boolean;
};

/** Throws when discovery cannot be read and there is no earlier view of it. */
export async function openMesh(config: MeshConfig, log: Logger, options: MeshOptions = {}): Promise<Mesh> {
  const { discovery, tls } = config;
  // First: without a good certificate nothing else need be tried.
  const identity = tls === undefined ? undefined : await openTlsIdentity(tls, log);
  const found =
    discovery.kind === "consul"
      ? await openConsulMesh(discovery, log, options)
      : plaintextMesh(await openStaticDirectory(discovery.file, log));
  const close = () => {
    found.close();
    identity?.close();
  };
  return { ...found, identity, close };
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
