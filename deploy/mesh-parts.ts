/**
 * What the mesh profile adds to a cluster on this machine: certificates for everybody, Consul, Redis. It says what each
 * process is told about them, and where people find them.
 */
import { join } from "node:path";
import { ConsulAnnouncer } from "#mesh/consul/consul-announcer.ts";
import { ConsulClient } from "#mesh/consul/consul-client.ts";
import { ConsulTrouble } from "#mesh/consul/consul-trouble.ts";
import type { Identity } from "#mesh/identity.ts";
import { createLogger } from "#mesh/log.ts";
import type { ServiceKind } from "#mesh/spiffe-id.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { CertificateKeeper, keptIdentity } from "./certificate-keeper.ts";
import type { ClusterPlan, Environment } from "./cluster-plan.ts";
import { deploymentName } from "./cluster-plan.ts";
import { ConsulCluster } from "./consul-cluster.ts";
import type { ConsulServerCount } from "./consul-settings.ts";
import { consulPortNames } from "./consul-settings.ts";
import type { MeshEndpoints } from "./endpoints.ts";
import { findConsul } from "./go-tool.ts";
import type { ManagedProcess } from "./managed-process.ts";
import type { PortName } from "./port-plan.ts";
import { loopback } from "./postgres-settings.ts";
import type { PostgresPlace } from "./postgres-standing.ts";
import { PostgresAnnouncing } from "./postgres-standing.ts";
import { findRedis } from "./redis-binary.ts";
import { keepRedisPassword, RedisServer } from "./redis-server.ts";
import type { RunFolder } from "./run-folder.ts";
import type { Supervisor } from "./supervisor.ts";

export type MeshProfile = {
  readonly consulServers: ConsulServerCount;
  /** How long a certificate lives; default a day. */
  readonly certificateLifeMs?: number | undefined;
};

/** The programs of others, found or built before anything starts. */
export type MeshPrograms = { readonly consul: string; readonly redis: string };

export async function findMeshPrograms(log: (line: string) => void): Promise<MeshPrograms> {
  return { redis: await findRedis(log), consul: await findConsul(log) };
}

const operatorName = "operator";
const redisName = "redis";

export function meshPortNames({ consulServers }: MeshProfile): PortName[] {
  return [...consulPortNames(consulServers), `${redisName}.${redisName}`];
}

export type MeshPartsOptions = {
  readonly profile: MeshProfile;
  readonly programs: MeshPrograms;
  readonly folder: RunFolder;
  readonly plan: ClusterPlan;
  /** Makes the supervisor of a process, which lets go of its ports before each start. */
  readonly supervise: (process: ManagedProcess) => Supervisor;
  readonly log: (line: string) => void;
};

export class MeshParts {
  readonly consul: ConsulCluster;
  /** An operator's, who is an admin: for whoever asks the services on behalf of this run. */
  readonly identity: Identity;
  readonly certificates: CertificateKeeper;
  readonly #options: MeshPartsOptions;
  readonly #redis: RedisServer;
  readonly #redisSupervisor: Supervisor;
  #announced: { readonly announcing: PostgresAnnouncing; readonly client: ConsulClient } | undefined;

  private constructor(
    options: MeshPartsOptions,
    parts: { readonly consul: ConsulCluster; readonly certificates: CertificateKeeper; readonly identity: Identity },
  ) {
    const { folder, plan, programs, supervise } = options;
    this.#options = options;
    this.consul = parts.consul;
    this.certificates = parts.certificates;
    this.identity = parts.identity;
    this.#redis = new RedisServer({
      name: redisName,
      program: programs.redis,
      folder: folder.paths.redis,
      logFile: join(folder.paths.logs, `${redisName}.log`),
      port: plan.ports.ports[`${redisName}.${redisName}`] ?? 0,
      passwordFile: folder.paths.redisPasswordFile,
    });
    this.#redisSupervisor = supervise(this.#redis);
  }

  /** Issues the certificates; nothing runs yet. */
  static async make(options: MeshPartsOptions): Promise<MeshParts> {
    const { profile, programs, folder, plan, supervise, log } = options;
    const { paths } = folder;
    keepRedisPassword(paths.redisPasswordFile);
    const authority = await CertificateAuthority.keep(paths.authority, deploymentName);
    const own = { deployment: authority.deployment };
    const certificates = await CertificateKeeper.open({
      authority,
      folder: paths.certificates,
      certificates: [
        keptIdentity({ ...own, kind: "admin", name: operatorName }),
        ...serviceNames(plan).map(([kind, name]) => keptIdentity({ ...own, kind, name }, hostsOf(kind))),
      ],
      log,
      ...(profile.certificateLifeMs === undefined ? {} : { lifeMs: profile.certificateLifeMs }),
    });
    const consul = await ConsulCluster.make({
      program: programs.consul,
      folder: paths.consul,
      secretsFolder: paths.secrets,
      servers: profile.consulServers,
      ports: plan.ports,
      logFile: (name) => join(paths.logs, `${name}.log`),
      supervise,
      log,
    });
    const identity = await openTlsIdentity(certificates.filesOf(operatorName));
    return new MeshParts(options, { consul, certificates, identity });
  }

  get supervisors(): Supervisor[] {
    return [this.#redisSupervisor, ...this.consul.supervisors];
  }

  async start(): Promise<void> {
    await Promise.all([this.#redisSupervisor.start(), this.consul.start()]);
  }

  /** What the services need goes after them; the launcher's own word on Postgres first. */
  async stop(): Promise<void> {
    await this.certificates.stop();
    this.identity.close();
    await this.#redisSupervisor.stop();
    await this.consul.stop();
  }

  announcePostgres(places: readonly PostgresPlace[], ownerPassword: string): void {
    const client = new ConsulClient({ ...this.#consulFiles("postgres"), cacheFile: "" });
    const log = createLogger("launcher", "silent");
    const trouble = new ConsulTrouble(client.address, log);
    const announcing = new PostgresAnnouncing(() => new ConsulAnnouncer(client, trouble, log), places, ownerPassword);
    this.#announced = { announcing, client };
    announcing.start();
  }

  async withdrawPostgres(): Promise<void> {
    await this.#announced?.announcing.stop();
    this.#announced?.client.close();
    this.#announced = undefined;
  }

  /** More of what a service is told. */
  environment(kind: ServiceKind, name: string): Environment {
    const { address, caFile, tokenFile } = this.#consulFiles(kind);
    const files = this.certificates.filesOf(name);
    const { paths } = this.#options.folder;
    return {
      URNA_TLS_CERT_FILE: files.certFile,
      URNA_TLS_KEY_FILE: files.keyFile,
      URNA_TLS_CA_FILE: files.caFile,
      URNA_CONSUL_ADDRESS: address,
      URNA_CONSUL_CA_FILE: caFile,
      URNA_CONSUL_TOKEN_FILE: tokenFile,
      URNA_DIRECTORY_CACHE_FILE: join(paths.stateFolder(name), "directory.json"),
      ...(kind === "shard"
        ? {}
        : { URNA_REDIS_URL: this.#redis.url, URNA_REDIS_PASSWORD_FILE: this.#options.folder.paths.redisPasswordFile }),
    };
  }

  endpoints(): MeshEndpoints {
    const { certFile, keyFile, caFile } = this.certificates.filesOf(operatorName);
    return {
      tls: { ca_file: caFile, cert_file: certFile, key_file: keyFile },
      consul: {
        address: this.consul.address,
        ca_file: this.consul.caFile,
        token_file: this.consul.tokenFile("operator"),
        read_only_token_file: this.consul.tokenFile("viewer"),
      },
      redis: { url: this.#redis.url, password_file: this.#options.folder.paths.redisPasswordFile },
    };
  }

  #consulFiles(holder: ServiceKind | "postgres") {
    return { address: this.consul.address, caFile: this.consul.caFile, tokenFile: this.consul.tokenFile(holder) };
  }
}

/** Callers that are not of Urna, ghz for one, compare a router's certificate with the host that they call. */
function hostsOf(kind: ServiceKind): readonly string[] {
  return kind === "router" ? [loopback, "localhost"] : [];
}

function serviceNames(plan: ClusterPlan): [ServiceKind, string][] {
  const shards = Array.from({ length: plan.shape.shards }, (_, shardId) => plan.nodeNames(shardId)).flat();
  return [
    ...plan.routerNames().map((name): [ServiceKind, string] => ["router", name]),
    ["tally", "tally"],
    ...shards.map((name): [ServiceKind, string] => ["shard", name]),
  ];
}
