/** The running cluster that ghz is let loose on, as its endpoints.json says. */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Endpoints } from "#deploy/endpoints.ts";
import { nodeLetter } from "#deploy/port-plan.ts";
import type { Identity } from "#mesh/identity.ts";
import { openTlsIdentity } from "#mesh/tls-identity.ts";

/** What the user can do something about: told without a stack. */
export class GhzRefusal extends Error {
  override readonly name = "GhzRefusal";
}

/** Files of a certificate that routers accept; absent where the cluster speaks plaintext. */
export type TlsFiles = { readonly ca_file: string; readonly cert_file: string; readonly key_file: string };

export type GhzTarget = {
  /** The run's folder. */
  readonly dir: string;
  /** gRPC address of the router that is loaded. */
  readonly router: string;
  /** URLs of /metrics of all routers. */
  readonly routerMetrics: readonly string[];
  readonly adminToken: string;
  /** With absolute paths. */
  readonly tls: TlsFiles | undefined;
  /** For our own calls beside ghz's. */
  readonly identity: Identity | undefined;
  /** By name: router-0, tally, shard-0-a, shard-0-primary, … */
  readonly pids: ReadonlyMap<string, number>;
};

type EndpointsFile = Endpoints & { readonly tls?: TlsFiles };

/** Throws GhzRefusal when no cluster runs there, or has no such router. */
export async function readTarget(dir: string, routerIndex: number): Promise<GhzTarget> {
  const folder = resolve(dir);
  const endpoints = await readEndpoints(folder);
  const router = endpoints.routers[routerIndex];
  if (router === undefined) {
    throw new GhzRefusal(`--router ${routerIndex}: the cluster has ${endpoints.routers.length}, counted from 0`);
  }
  const pids = pidsOf(endpoints);
  if (![...pids.values()].some(isAlive)) throw new GhzRefusal(notRunning(folder));
  const tls = endpoints.tls === undefined ? undefined : absolute(folder, endpoints.tls);
  return {
    dir: folder,
    router: router.grpc,
    routerMetrics: endpoints.routers.map(({ metrics }) => metrics),
    adminToken: (await readFile(resolve(folder, endpoints.admin_token_file), "utf8")).trim(),
    tls,
    identity: tls === undefined ? undefined : await openIdentity(tls),
    pids,
  };
}

/** What runs now, by name. */
export async function readPids(dir: string): Promise<ReadonlyMap<string, number>> {
  return pidsOf(await readEndpoints(resolve(dir)));
}

async function readEndpoints(folder: string): Promise<EndpointsFile> {
  const file = join(folder, "endpoints.json");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new GhzRefusal(error.code === "ENOENT" ? notRunning(folder) : `${file} cannot be read: ${error.message}`);
  });
  let endpoints: Partial<EndpointsFile>;
  try {
    endpoints = JSON.parse(text) as Partial<EndpointsFile>;
  } catch {
    throw new GhzRefusal(`${file} is not JSON`);
  }
  if (endpoints.schema_version !== 1 || endpoints.routers === undefined) {
    throw new GhzRefusal(`${file} is not of a version that this program knows`);
  }
  return endpoints as EndpointsFile;
}

function notRunning(folder: string): string {
  return `no cluster runs in ${folder}: start one with \`npm start\` in another terminal, or name its folder with --dir`;
}

function pidsOf({ routers, tally, shards }: Endpoints): ReadonlyMap<string, number> {
  return new Map([
    ...routers.map(({ pid }, i) => [`router-${i}`, pid] as const),
    ["tally", tally.pid] as const,
    ...shards.flatMap(({ id, nodes, postgres }) => [
      ...nodes.map(({ pid }, node) => [`shard-${id}-${nodeLetter(node)}`, pid] as const),
      ...postgres.map(({ role, pid }) => [`shard-${id}-${role}`, pid] as const),
    ]),
  ]);
}

/** A process of another user is alive, too. */
export function isAlive(pid: number): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function absolute(folder: string, tls: TlsFiles): TlsFiles {
  const { ca_file, cert_file, key_file } = tls;
  return {
    ca_file: resolve(folder, ca_file),
    cert_file: resolve(folder, cert_file),
    key_file: resolve(folder, key_file),
  };
}

function openIdentity({ ca_file, cert_file, key_file }: TlsFiles): Promise<Identity> {
  return openTlsIdentity({ caFile: ca_file, certFile: cert_file, keyFile: key_file }).catch((error: Error) => {
    throw new GhzRefusal(error.message);
  });
}
