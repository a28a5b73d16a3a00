/** Makes the parts of an embedded cluster, nothing of which runs yet. */
import { join } from "node:path";
import { parseHostPort } from "#mesh/host-port.ts";
import type { Identity } from "#mesh/identity.ts";
import type { ServiceKind } from "#mesh/spiffe-id.ts";
import type { EmbeddedClusterOptions } from "./cluster-options.ts";
import { routersDefault } from "./cluster-options.ts";
import type { Environment } from "./cluster-plan.ts";
import { ClusterPlan } from "./cluster-plan.ts";
import type { SupervisedPair } from "./cluster-postgres.ts";
import type { Release } from "./control-protocol.ts";
import type { Endpoints } from "./endpoints.ts";
import { count, describeEndpoints } from "./endpoints.ts";
import { replaceJsonFile } from "./file-writing.ts";
import type { RecordedProcess } from "./leftovers.ts";
import type { ManagedProcess } from "./managed-process.ts";
import type { MeshParts } from "./mesh-parts.ts";
import { checkoutRoot } from "./own-node.ts";
import { HeldPorts, portNames } from "./port-plan.ts";
import { embeddedPostgresVersion, findPostgres } from "./postgres-binaries.ts";
import { PostgresPair } from "./postgres-pair.ts";
import { sharedBuffersMbFor } from "./postgres-settings.ts";
import { ownRelease, readRelease, releaseOf } from "./release-checkout.ts";
import type { RunFolder } from "./run-folder.ts";
import { enterRunState, keepRelease } from "./run-state.ts";
import { ServiceProcess } from "./service-process.ts";
import { Supervisor } from "./supervisor.ts";
import type { UnprivilegedUser } from "./unprivileged-user.ts";

export class ClusterParts {
  readonly folder: RunFolder;
  readonly plan: ClusterPlan;
  readonly runId: string;
  /** Nothing was in the folder before. */
  readonly isNew: boolean;
  readonly log: (line: string) => void;
  readonly pairs: SupervisedPair[] = [];
  readonly shardNodes: Supervisor[] = [];
  readonly tally: Supervisor;
  readonly routers: Supervisor[] = [];
  /** Undefined in a cluster that speaks plaintext. */
  mesh: MeshParts | undefined;
  readonly #options: EmbeddedClusterOptions;
  readonly #postgresVersion: number;
  #release: Release;

  private constructor(
    options: EmbeddedClusterOptions,
    folder: RunFolder,
    plan: ClusterPlan,
    run: { readonly id: string; readonly isNew: boolean; readonly release: Release; readonly postgresVersion: number },
  ) {
    this.#options = options;
    this.#release = run.release;
    this.#postgresVersion = run.postgresVersion;
    this.folder = folder;
    this.plan = plan;
    this.runId = run.id;
    this.isNew = run.isNew;
    this.log = options.log ?? (() => {});
    for (const shardId of count(plan.shape.shards)) {
      for (const name of plan.nodeNames(shardId)) this.shardNodes.push(this.#shardNode(name, shardId));
    }
    this.tally = this.#service("tally", "tally", "tally/main.ts", async () => plan.tally());
    for (const name of plan.routerNames()) {
      this.routers.push(this.#service("router", name, "router/main.ts", async () => plan.router(name)));
    }
  }

  static async make(
    options: EmbeddedClusterOptions,
    folder: RunFolder,
    user: UnprivilegedUser | undefined,
  ): Promise<ClusterParts> {
    const { paths } = folder;
    const postgresVersion = options.postgresVersion ?? embeddedPostgresVersion;
    const { state, isNew } = enterRunState(paths.root, paths.stateFile, { shards: options.shards, postgresVersion });
    const release =
      options.release === undefined ? releaseOf(state, options.log ?? (() => {})) : readRelease(options.release);
    const binaries = await findPostgres(postgresVersion, user);
    const nodesPerShard = 1 + (options.spares ?? 1);
    const shape = { shards: state.shards, routers: options.routers ?? routersDefault, nodesPerShard };
    const base = options.portBase ?? (options.dir === undefined ? 0 : undefined);
    // Certificates and Consul are much to load for a cluster that has neither.
    const mesh = options.mesh && { profile: options.mesh, ...(await import("./mesh-parts.ts")) };
    const programs = await mesh?.findMeshPrograms(options.log ?? (() => {}));
    const names = [...portNames(shape), ...(mesh?.meshPortNames(mesh.profile) ?? [])];
    const ports = await HeldPorts.take(names, base, state.ports);
    replaceJsonFile(paths.stateFile, { ...state, ports: { ...state.ports, ...ports.ports } });
    const secrets = folder.secrets();
    folder.keepShardKeys(state.shards);
    const plan = new ClusterPlan(shape, ports, paths, secrets, options.webRoot);
    const parts = new ClusterParts(options, folder, plan, { id: state.run_id, isNew, release, postgresVersion });
    const sharedBuffersMb = options.sharedBuffersMb ?? sharedBuffersMbFor(2 * state.shards);
    const common = { dataRoot: folder.dataRoot, logFolder: paths.logs, binaries, user, sharedBuffersMb, ...secrets };
    for (const shardId of count(state.shards)) parts.#addPair(shardId, common);
    if (mesh !== undefined && programs !== undefined) {
      const supervise = (process: ManagedProcess) => parts.#supervise(process);
      const { profile } = mesh;
      parts.mesh = await mesh.MeshParts.make({ profile, programs, folder, plan, supervise, log: parts.log });
    }
    return parts;
  }

  /** An admin's, with which services are asked; undefined where they speak plaintext. */
  get identity(): Identity | undefined {
    return this.mesh?.identity ?? this.#options.identity;
  }

  /** Every process, in the order of starting. */
  get supervisors(): Supervisor[] {
    const servers = this.pairs.flatMap(({ primary, standby }) => [primary, standby]);
    return [...servers, ...(this.mesh?.supervisors ?? []), ...this.shardNodes, this.tally, ...this.routers];
  }

  /** Where processes start from. */
  get release(): Release {
    return this.#release;
  }

  /** From the next start of each process on, and in later starts of this launcher. */
  useRelease(release: Release): void {
    const { checkout } = release;
    const other = checkout === ownRelease().checkout ? undefined : { checkout, launcher: checkoutRoot };
    keepRelease(this.folder.paths.stateFile, other);
    this.#release = release;
  }

  endpoints(): Endpoints {
    const pids = new Map(this.supervisors.map(({ name, running }) => [name, running?.pid]));
    const { plan, folder, runId } = this;
    return describeEndpoints({
      runId,
      paths: folder.paths,
      ports: plan.ports,
      shape: plan.shape,
      pidOf: (name) => pids.get(name),
      mesh: this.mesh?.endpoints(),
    });
  }

  /** Where there is a registry, it is told of the servers too. */
  announcePostgres(): void {
    const { ports } = this.plan.ports;
    const places = this.pairs.flatMap((_, shardId) =>
      (["primary", "standby"] as const).map((role) => {
        const name = `shard-${shardId}-${role}`;
        return { shardId, role, name, port: ports[`${name}.postgres`] ?? 0, version: this.#postgresVersion };
      }),
    );
    this.mesh?.announcePostgres(places, this.folder.secrets().ownerPassword);
  }

  /** Writes down what runs: for those who look, and for whoever must stop it should we be killed. */
  record(): void {
    const { paths } = this.folder;
    const services = [...(this.mesh?.supervisors ?? []), ...this.shardNodes, this.tally, ...this.routers];
    const processes = services.flatMap(({ name, running }): RecordedProcess[] =>
      running === undefined ? [] : [{ name, ...running.identity }],
    );
    try {
      replaceJsonFile(paths.processesFile, processes);
      replaceJsonFile(paths.endpointsFile, this.endpoints());
    } catch (error) {
      // A full disk, or a folder removed under us: no reason to leave what runs without its supervisor.
      this.log(`${paths.endpointsFile} could not be written: ${error instanceof Error ? error.message : error}`);
    }
  }

  #addPair(shardId: number, common: PairCommon): void {
    const port = (role: string) => this.plan.ports.ports[`shard-${shardId}-${role}.postgres`] ?? 0;
    const [primary, standby] = [`shard-${shardId}-primary`, `shard-${shardId}-standby`];
    const pair = new PostgresPair({
      ...common,
      shardId,
      primaryPort: port("primary"),
      standbyPort: port("standby"),
      primaryAddress: async () => hostPort(await this.#reroute(standby, primary)),
      log: this.log,
    });
    this.pairs.push({ pair, primary: this.#supervise(pair.primary), standby: this.#supervise(pair.standby) });
  }

  #shardNode(name: string, shardId: number): Supervisor {
    return this.#service("shard", name, "shard-node/main.ts", async () =>
      this.plan.shardNode(name, shardId, await this.#reroute(name, `shard-${shardId}-primary`)),
    );
  }

  #service(kind: ServiceKind, name: string, script: string, environment: () => Promise<Environment>): Supervisor {
    const logFile = join(this.folder.paths.logs, `${name}.log`);
    const withMore = async () => ({
      ...(await environment()),
      ...this.mesh?.environment(kind, name),
      ...this.#options.environment?.(name),
    });
    const checkout = () => this.#release.checkout;
    return this.#supervise(new ServiceProcess({ name, script, checkout, logFile, environment: withMore }));
  }

  #supervise(process: ManagedProcess): Supervisor {
    const supervisor = new Supervisor(process, {
      restarts: this.#options.supervise ?? true,
      log: this.log,
      beforeStart: () => this.plan.ports.release(process.name),
      onChange: () => this.record(),
    });
    return supervisor;
  }

  async #reroute(from: string, to: string): Promise<string> {
    const address = this.plan.ports.address(`${to}.postgres`);
    return (await this.#options.reroute?.({ from, to, address })) ?? address;
  }
}

type PairCommon = Omit<
  ConstructorParameters<typeof PostgresPair>[0],
  "shardId" | "primaryPort" | "standbyPort" | "primaryAddress" | "log"
>;

function hostPort(address: string) {
  const parsed = parseHostPort(address);
  if (parsed === undefined) throw new Error(`"${address}" is not host:port`);
  return parsed;
}
