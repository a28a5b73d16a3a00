/** endpoints.json: where everything of a run listens. Written anew whenever a process starts or ends. */
import type { HeldPorts } from "./port-plan.ts";
import { nodeLetter } from "./port-plan.ts";
import { databaseName, loopback, operatorRole } from "./postgres-settings.ts";
import type { RunPaths } from "./run-paths.ts";

export type ServiceEndpoint = { readonly pid: number; readonly grpc: string; readonly metrics: string };
export type EdgeEndpoint = ServiceEndpoint & { readonly connect: string };

export type PostgresEndpoint = {
  readonly role: "primary" | "standby";
  readonly pid: number;
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Reads everything, changes nothing, needs no password. */
  readonly user: string;
};

/** A pid is 0 while its process does not run. */
export type Endpoints = {
  readonly schema_version: 1;
  readonly run_id: string;
  readonly routers: readonly EdgeEndpoint[];
  readonly tally: EdgeEndpoint;
  readonly web: string;
  readonly shards: readonly {
    readonly id: number;
    readonly nodes: readonly ServiceEndpoint[];
    readonly postgres: readonly PostgresEndpoint[];
  }[];
  readonly admin_token_file: string;
  readonly directory_file: string;
  /** Where the launcher can be asked to restart processes; see control-protocol.ts. */
  readonly control_socket: string;
  /** Superuser urna_owner's. */
  readonly postgres_owner_password_file: string;
} & Partial<MeshEndpoints>;

/** Of the mesh profile. Paths are absolute. */
export type MeshEndpoints = {
  /** An operator's certificate: gRPC takes callers with one only. */
  readonly tls: { readonly ca_file: string; readonly cert_file: string; readonly key_file: string };
  readonly consul: {
    /** Of the API, https://…; the UI is at /ui. */
    readonly address: string;
    readonly ca_file: string;
    /** May read everything, write intentions and the keys below urna/. */
    readonly token_file: string;
    /** May read what the UI shows. */
    readonly read_only_token_file: string;
  };
  readonly redis: { readonly url: string; readonly password_file: string };
};

export type EndpointsInput = {
  readonly runId: string;
  readonly paths: RunPaths;
  readonly ports: HeldPorts;
  readonly shape: { readonly shards: number; readonly routers: number; readonly nodesPerShard: number };
  readonly pidOf: (name: string) => number | undefined;
  readonly mesh: MeshEndpoints | undefined;
};

export function describeEndpoints({ runId, paths, ports, shape, pidOf, mesh }: EndpointsInput): Endpoints {
  const service = (name: string): ServiceEndpoint => ({
    pid: pidOf(name) ?? 0,
    grpc: ports.address(`${name}.grpc`),
    metrics: `http://${ports.address(`${name}.metrics`)}/metrics`,
  });
  const edge = (name: string): EdgeEndpoint => ({
    ...service(name),
    connect: `http://${ports.address(`${name}.connect`)}`,
  });
  const server = (id: number, role: "primary" | "standby"): PostgresEndpoint => ({
    role,
    pid: pidOf(`shard-${id}-${role}`) ?? 0,
    host: loopback,
    port: ports.ports[`shard-${id}-${role}.postgres`] ?? 0,
    database: databaseName,
    user: operatorRole,
  });
  return {
    schema_version: 1,
    run_id: runId,
    routers: count(shape.routers).map((i) => edge(`router-${i}`)),
    tally: edge("tally"),
    web: `http://${ports.address("router-0.connect")}`,
    shards: count(shape.shards).map((id) => ({
      id,
      nodes: count(shape.nodesPerShard).map((node) => service(`shard-${id}-${nodeLetter(node)}`)),
      postgres: [server(id, "primary"), server(id, "standby")],
    })),
    admin_token_file: paths.adminTokenFile,
    directory_file: paths.directoryFile,
    control_socket: paths.controlSocket,
    postgres_owner_password_file: paths.ownerPasswordFile,
    ...mesh,
  };
}

export function count(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
