/** Where the shard map that everybody follows stands: in Consul, or in the directory file of a run without one. */
import { readFile } from "node:fs/promises";
import { ConsulClient, ConsulError } from "#mesh/consul/consul-client.ts";
import type { MapDocument } from "#mesh/consul/map-document.ts";
import { parseMap } from "#mesh/consul/map-document.ts";
import type { PublishedEpoch } from "#mesh/consul/registry-reader.ts";
import { RegistryReader } from "#mesh/consul/registry-reader.ts";
import { parseDirectory } from "#mesh/static-directory.ts";
import type { CommandContext } from "./command-context.ts";
import type { ConsulEndpoint, Endpoints } from "./endpoints.ts";
import { findEndpoints } from "./endpoints.ts";
import { UnreachableError, UsageError } from "./exit-code.ts";
import { nearestEndpoints } from "./server-connection.ts";

export type MapOptions = {
  readonly consul?: string;
  readonly consulTokenFile?: string;
  readonly consulCaFile?: string;
  readonly json?: boolean;
};

export type MapSource = {
  /** "Consul at https://…", or a file. */
  readonly name: string;
  /** The copy; undefined with why, where it cannot be followed. */
  readonly map: MapDocument | undefined;
  readonly problem: string;
  /** Every node that is known, of a shard in the map or not. */
  readonly nodes: readonly { readonly shardId: number; readonly address: string }[];
  readonly routers: readonly string[];
  /** Undefined where none is kept. */
  readonly history: readonly PublishedEpoch[] | undefined;
};

/** Throws UnreachableError when what holds the map does not answer, UsageError when it refuses. */
export async function readMapSource(options: MapOptions, context: CommandContext): Promise<MapSource> {
  const place = consulPlace(options, context);
  return place === undefined
    ? await readFromFile(nearestEndpoints(context.folder))
    : await readFromConsul(place, context);
}

function consulPlace(options: MapOptions, { folder }: CommandContext): ConsulEndpoint | undefined {
  const { consul: address, consulTokenFile: tokenFile, consulCaFile: caFile } = options;
  if (address === undefined) return findEndpoints(folder)?.consul;
  if (!URL.canParse(address)) throw new UsageError(`--consul ${address} is not a URL such as https://127.0.0.1:8501`);
  if (tokenFile === undefined || caFile === undefined) {
    throw new UsageError("--consul needs --consul-token-file and --consul-ca-file");
  }
  return { address, tokenFile, caFile };
}

async function readFromConsul(place: ConsulEndpoint, { folder, signal }: CommandContext): Promise<MapSource> {
  const name = `Consul at ${place.address}`;
  let client: ConsulClient;
  try {
    client = new ConsulClient({ ...place, cacheFile: "" });
  } catch (cause) {
    throw new UsageError(`${name} cannot be asked: ${(cause as Error).message}`);
  }
  try {
    const reader = new RegistryReader(client, signal);
    const [text, history, instances, routers] = await Promise.all([
      reader.map(),
      reader.history(),
      reader.shardNodes(),
      reader.routers(),
    ]);
    const nodes = instances.flatMap(({ shardId, address }) => (shardId === undefined ? [] : [{ shardId, address }]));
    const known = findEndpoints(folder)?.routers.map(({ grpc }) => grpc) ?? [];
    const all = [...new Set([...routers.map(({ address }) => address), ...known])];
    return { name, ...parsedMap(text), nodes, routers: all, history };
  } catch (cause) {
    if (!(cause instanceof ConsulError)) throw cause;
    if (cause.kind === "refused") throw new UsageError(`${name} refuses this token: ${cause.message}`);
    throw new UnreachableError(
      `${name} does not answer (${cause.message}): the parts go on with the last map they saw`,
    );
  } finally {
    client.close();
  }
}

function parsedMap(text: string | undefined): Pick<MapSource, "map" | "problem"> {
  if (text === undefined) return { map: undefined, problem: "there is no shard map yet" };
  try {
    return { map: parseMap(text), problem: "" };
  } catch (cause) {
    return { map: undefined, problem: (cause as Error).message };
  }
}

async function readFromFile({ directoryFile, file, routers }: Endpoints): Promise<MapSource> {
  if (directoryFile === undefined) throw new UsageError(`${file} names neither a directory_file nor Consul`);
  try {
    const { deployment, map } = parseDirectory(await readFile(directoryFile, "utf8"));
    return {
      name: directoryFile,
      map: { deployment, epoch: map.epoch, shards: map.shards },
      problem: "",
      nodes: map.shards.flatMap(({ shardId, nodes }) => nodes.map((address) => ({ shardId, address }))),
      routers: routers.map(({ grpc }) => grpc),
      history: undefined,
    };
  } catch (cause) {
    throw new UsageError(`${directoryFile} cannot be read: ${(cause as Error).message}`);
  }
}
