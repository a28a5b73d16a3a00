/** Starts and stops what a rig is made of: a folder that a reaper watches, a Postgres pair, proxies and shard nodes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RigNode } from "#bench/rig-node.ts";
import { RigPostgres } from "#bench/rig-postgres.ts";
import { TcpProxy } from "#bench/tcp-proxy.ts";
import { ClusterPlan } from "#deploy/cluster-plan.ts";
import { migrateShard, startPair } from "#deploy/cluster-postgres.ts";
import { count } from "#deploy/endpoints.ts";
import { replaceJsonFile } from "#deploy/file-writing.ts";
import type { RecordedProcess } from "#deploy/leftovers.ts";
import type { ManagedProcess } from "#deploy/managed-process.ts";
import { HeldPorts, nodeLetter, portNames } from "#deploy/port-plan.ts";
import { findPostgres } from "#deploy/postgres-binaries.ts";
import { PostgresPair } from "#deploy/postgres-pair.ts";
import { ownerUrl } from "#deploy/postgres-session.ts";
import { databaseName, loopback, operatorRole, shardRole } from "#deploy/postgres-settings.ts";
import { RunFolder } from "#deploy/run-folder.ts";
import { ServiceProcess } from "#deploy/service-process.ts";
import { Supervisor } from "#deploy/supervisor.ts";
import { findPostgresUser } from "#deploy/unprivileged-user.ts";

export type ShardRigOptions = {
  /** Default 18. */
  readonly postgres?: number;
  /** Shard nodes: the first becomes the writer, the others wait. Default 1. */
  readonly nodes?: number;
  /** More environment for every shard node. */
  readonly environment?: Readonly<Record<string, string>>;
};

export type RigParts = {
  readonly folder: RunFolder;
  readonly routerKey: Buffer;
  readonly primary: RigPostgres;
  readonly standby: RigPostgres;
  /** Between the standby and its primary. */
  readonly standbyProxy: TcpProxy;
  readonly nodes: ReadonlyMap<string, RigNode>;
  /** As the superuser, past the proxies. */
  readonly ownerUrl: string;
  /** As the service's own role, past the proxies. */
  readonly serviceUrl: string;
  readonly primaryUrl: string;
  readonly standbyUrl: string;
  readonly standbyOwnerUrl: string;
  /** Where the nodes look for a tally. Nobody listens there from the first call on, so that a test can be one. */
  tallyAddress(): Promise<string>;
  /** Gives back ports and folder, when all else is closed. */
  release(): Promise<void>;
};

const sharedBuffersMb = 64;
/** A commit that waits longer is given up and looked for: short, so that a test need not wait for ten seconds. */
const commitLimitMs = "3000";

export async function openRig(options: ShardRigOptions): Promise<RigParts> {
  const user = findPostgresUser();
  const log = () => undefined;
  const folder = await RunFolder.open({ dir: undefined, postgresUser: user, log });
  const shape = { shards: 1, routers: 0, nodesPerShard: options.nodes ?? 1 };
  const ports = await HeldPorts.take(portNames(shape), 0);
  const secrets = folder.secrets();
  folder.keepShardKeys(1);
  const plan = new ClusterPlan(shape, ports, folder.paths, secrets, undefined);
  const portOf = (role: string) => ports.ports[`shard-0-${role}.postgres`] ?? 0;
  const primaryTarget = { host: loopback, port: portOf("primary") };
  const standbyProxy = await TcpProxy.listen({ target: primaryTarget, protocol: "bytes" });
  const pair = new PostgresPair({
    ...secrets,
    shardId: 0,
    dataRoot: folder.dataRoot,
    logFolder: folder.paths.logs,
    binaries: await findPostgres(options.postgres ?? 18, user),
    user,
    primaryPort: portOf("primary"),
    standbyPort: portOf("standby"),
    sharedBuffersMb,
    primaryAddress: async () => ({ host: standbyProxy.host, port: standbyProxy.port }),
    log,
  });
  const services: Supervisor[] = [];
  const supervise = (process: ManagedProcess) =>
    new Supervisor(process, {
      restarts: false,
      log,
      beforeStart: () => ports.release(process.name),
      onChange: () => recordServices(folder, services),
    });
  const [primary, standby] = [supervise(pair.primary), supervise(pair.standby)];
  replaceJsonFile(folder.paths.directoryFile, plan.directory());
  const parts: RigParts = {
    folder,
    routerKey: readFileSync(folder.paths.routerKeyFile),
    primary: new RigPostgres(primary),
    standby: new RigPostgres(standby),
    standbyProxy,
    nodes: await makeNodes(options, plan, folder.paths.logs, primaryTarget, (process) => {
      const supervisor = supervise(process);
      services.push(supervisor);
      return supervisor;
    }),
    ownerUrl: ownerUrl({ port: portOf("primary"), password: secrets.ownerPassword }),
    serviceUrl: `postgres://${shardRole}:${secrets.shardPassword}@${loopback}:${portOf("primary")}/${databaseName}`,
    primaryUrl: operatorUrl(portOf("primary")),
    standbyUrl: operatorUrl(portOf("standby")),
    standbyOwnerUrl: ownerUrl({ port: portOf("standby"), password: secrets.ownerPassword }),
    tallyAddress: async () => {
      await ports.release("tally");
      return ports.address("tally.grpc");
    },
    release: async () => {
      await ports.releaseAll();
      folder.close();
    },
  };
  try {
    await startPair({ pair, primary, standby });
    await migrateShard(plan.migration(0));
    for (const node of parts.nodes.values()) await node.start();
    return parts;
  } catch (error) {
    await closeRig(parts);
    throw error;
  }
}

export async function closeRig({ nodes, standby, primary, standbyProxy, release }: RigParts): Promise<void> {
  for (const node of nodes.values()) await node.close();
  await Promise.all([primary.close(), standby.close()]);
  await standbyProxy.close();
  await release();
}

async function makeNodes(
  { nodes = 1, environment = {} }: ShardRigOptions,
  plan: ClusterPlan,
  logFolder: string,
  primary: { host: string; port: number },
  supervise: (process: ManagedProcess) => Supervisor,
): Promise<Map<string, RigNode>> {
  const made = new Map<string, RigNode>();
  for (const i of count(nodes)) {
    const name = `shard-0-${nodeLetter(i)}`;
    const proxy = await TcpProxy.listen({ target: primary });
    const process = new ServiceProcess({
      name,
      script: "shard-node/main.ts",
      logFile: join(logFolder, `${name}.log`),
      environment: async () => ({
        ...plan.shardNode(name, 0, `${proxy.host}:${proxy.port}`),
        URNA_COMMIT_LIMIT_MS: commitLimitMs,
        ...environment,
      }),
    });
    made.set(nodeLetter(i), new RigNode(supervise(process), plan.ports.address(`${name}.grpc`), proxy));
  }
  return made;
}

/** For the reaper, should the tests be killed. */
function recordServices({ paths }: RunFolder, services: readonly Supervisor[]): void {
  const processes = services.flatMap(({ name, running }): RecordedProcess[] =>
    running === undefined ? [] : [{ name, ...running.identity }],
  );
  replaceJsonFile(paths.processesFile, processes);
}

const operatorUrl = (port: number) => `postgres://${operatorRole}@${loopback}:${port}/${databaseName}`;
