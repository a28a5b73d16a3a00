/** What can be chosen about an embedded cluster. */
import type { Identity } from "#mesh/identity.ts";
import type { Environment } from "./cluster-plan.ts";
import type { MeshProfile } from "./mesh-parts.ts";

export const routersDefault = 2;

/** One connection between two processes: who connects, to whom, and where that listens. */
export type Hop = { readonly from: string; readonly to: string; readonly address: string };

export type EmbeddedClusterOptions = {
  /** Undefined: a temporary folder, removed at the end, also when this process is killed. */
  readonly dir?: string | undefined;
  /** Default: what the folder has, else 2. Another number than the folder's is refused. */
  readonly shards?: number | undefined;
  readonly routers?: number | undefined;
  /** Certificates, Consul and Redis as well; default: plaintext, and discovery in a file. */
  readonly mesh?: MeshProfile | undefined;
  /** Shard nodes that wait beside each writer; default 1. */
  readonly spares?: 0 | 1 | 2;
  /** The checkout that processes start from; default: this one, or what the folder was rolled to. */
  readonly release?: string | undefined;
  /** 0: free ports. Undefined: the documented ones (port-plan.ts); in a temporary folder free ones. */
  readonly portBase?: number | undefined;
  readonly postgresVersion?: number;
  /** Of each server; default: a share of this machine. */
  readonly sharedBuffersMb?: number;
  /** False: what ends stays ended. Default true. */
  readonly supervise?: boolean;
  /** The folder of the built results page. */
  readonly webRoot?: string | undefined;
  /** What is shown to services that `environment` gives certificates; the mesh profile has its own. */
  readonly identity?: Identity | undefined;
  /** More environment for a process, asked for at each of its starts. */
  readonly environment?: (name: string) => Environment;
  /**
   * Where a process shall connect instead, "host:port": a test's proxy. Asked for at each of its starts, for the hops
   * shard node → primary and standby → primary.
   */
  readonly reroute?: (hop: Hop) => Promise<string>;
  /** Gives up the start; a cluster that is up does not listen to it. */
  readonly signal?: AbortSignal;
  /** Progress, and what the supervisors do. */
  readonly log?: (line: string) => void;
};
