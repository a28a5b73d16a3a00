/** What each process of a cluster is told: the environments of the services, the migrations and the directory file. */
import { evenSlotRanges } from "#proto/slots.ts";
import { count } from "./endpoints.ts";
import type { ClusterShape, HeldPorts } from "./port-plan.ts";
import { nodeLetter } from "./port-plan.ts";
import { ownerUrl } from "./postgres-session.ts";
import { databaseName, shardRole, standbyName } from "./postgres-settings.ts";
import type { RunPaths } from "./run-paths.ts";

export const deploymentName = "urna";

export type Environment = Readonly<Record<string, string>>;

export type ClusterSecrets = {
  readonly ownerPassword: string;
  readonly shardPassword: string;
};

export class ClusterPlan {
  readonly shape: ClusterShape;
  readonly ports: HeldPorts;
  readonly #paths: RunPaths;
  readonly #secrets: ClusterSecrets;
  readonly #webRoot: string | undefined;

  constructor(
    shape: ClusterShape,
    ports: HeldPorts,
    paths: RunPaths,
    secrets: ClusterSecrets,
    webRoot: string | undefined,
  ) {
    this.shape = shape;
    this.ports = ports;
    this.#paths = paths;
    this.#secrets = secrets;
    this.#webRoot = webRoot;
  }

  nodeNames(shardId: number): string[] {
    return count(this.shape.nodesPerShard).map((node) => `shard-${shardId}-${nodeLetter(node)}`);
  }

  routerNames(): string[] {
    return count(this.shape.routers).map((i) => `router-${i}`);
  }

  directory() {
    const slots = evenSlotRanges(this.shape.shards);
    const shards = slots.map((range, id) => ({
      id,
      slots: [range],
      nodes: this.nodeNames(id).map((name) => this.ports.address(`${name}.grpc`)),
    }));
    return {
      schema_version: 1,
      deployment: deploymentName,
      map: { epoch: 1, shards },
      tally: this.ports.address("tally.grpc"),
    };
  }

  /** Of the migration of a shard. */
  migration(shardId: number): Environment {
    const [first, last] = evenSlotRanges(this.shape.shards)[shardId] ?? [0, 0];
    const port = this.ports.ports[`shard-${shardId}-primary.postgres`] ?? 0;
    return {
      URNA_MIGRATION_URL: ownerUrl({ port, password: this.#secrets.ownerPassword }),
      URNA_SHARD_ID: String(shardId),
      URNA_SHARD_COUNT: String(this.shape.shards),
      URNA_SLOT_RANGES: `${first}-${last}`,
      URNA_DEPLOYMENT: deploymentName,
      URNA_SERVICE_PASSWORD: this.#secrets.shardPassword,
    };
  }

  /** Of a shard node that reaches its primary at this "host:port". */
  shardNode(name: string, shardId: number, primary: string): Environment {
    return {
      ...this.#common(name),
      URNA_SHARD_ID: String(shardId),
      URNA_POSTGRES_URL: `postgres://${shardRole}:${this.#secrets.shardPassword}@${primary}/${databaseName}`,
      URNA_STANDBY_NAMES: standbyName(shardId),
      URNA_SHARD_KEY_FILE: this.#paths.shardKeyFile(shardId),
      URNA_STATE_FOLDER: this.#paths.stateFolder(name),
    };
  }

  tally(): Environment {
    return {
      ...this.#common("tally"),
      URNA_CONNECT_LISTEN: this.ports.address("tally.connect"),
      URNA_STATE_FOLDER: this.#paths.stateFolder("tally"),
    };
  }

  router(name: string): Environment {
    return {
      ...this.#common(name),
      URNA_CONNECT_LISTEN: this.ports.address(`${name}.connect`),
      URNA_ADMIN_TOKEN_FILE: this.#paths.adminTokenFile,
      URNA_ROUTER_KEY_FILE: this.#paths.routerKeyFile,
      ...(this.#webRoot === undefined ? {} : { URNA_WEB_ROOT: this.#webRoot }),
    };
  }

  #common(name: string): Environment {
    return {
      URNA_DIRECTORY_FILE: this.#paths.directoryFile,
      URNA_GRPC_LISTEN: this.ports.address(`${name}.grpc`),
      URNA_METRICS_LISTEN: this.ports.address(`${name}.metrics`),
    };
  }
}
