/** What makes a process a part of the mesh: who is where, who it is itself, and where it says how it stands. */
import type { Announcer } from "#mesh/announcer.ts";
import { silentAnnouncer } from "#mesh/announcer.ts";
import type { Directory } from "#mesh/directory.ts";
import type { Identity } from "#mesh/identity.ts";
import type { Logger } from "#mesh/log.ts";
import type { MeshConfig } from "#mesh/mesh-config.ts";
import { openStaticDirectory } from "#mesh/static-directory.ts";

export type Mesh = {
  readonly directory: Directory;
  readonly announcer: Announcer;
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
  return { directory, announcer: silentAnnouncer, identity: undefined, close: () => directory.close() };
}
