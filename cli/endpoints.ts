/** Where a run of Urna listens, as its `endpoints.json` says: the nearest one, searching upwards from a folder. */
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import { UsageError } from "./exit-code.ts";

export type Endpoints = {
  /** The file that says so. */
  readonly file: string;
  readonly routers: readonly { readonly grpc: string; readonly connect: string }[];
  readonly tally: { readonly grpc: string; readonly connect: string };
  readonly shards: readonly {
    readonly id: number;
    readonly nodes: readonly { readonly grpc: string }[];
    /** URL of the standby's database, for a role that reads everything; undefined where there is none. */
    readonly standby: string | undefined;
  }[];
  /** Absolute. */
  readonly adminTokenFile: string | undefined;
  /** Absolute; who is where in a run without Consul. */
  readonly directoryFile: string | undefined;
  /** Where the launcher can be asked to restart processes. */
  readonly controlSocket: string | undefined;
  /** What a caller shows on gRPC; undefined in a run that speaks plaintext. Paths are absolute. */
  readonly tls: TlsConfig | undefined;
  /** The agent of a run that has one. */
  readonly consul: ConsulEndpoint | undefined;
};

export type ConsulEndpoint = { readonly address: string; readonly caFile: string; readonly tokenFile: string };

const schemaVersion = 1;

/** Undefined when no folder above has one. */
export function findEndpoints(folder: string): Endpoints | undefined {
  for (let above = resolve(folder); ; above = dirname(above)) {
    const file = join(above, ".urna", "endpoints.json");
    const text = readIfThere(file);
    if (text !== undefined) return parseEndpoints(file, text);
    if (dirname(above) === above) return undefined;
  }
}

export function parseEndpoints(file: string, text: string): Endpoints {
  const reader = new EndpointsReader(file);
  const document = reader.object(reader.json(text), "the document");
  if (document["schema_version"] !== schemaVersion) {
    throw new UsageError(`${file}: schema_version ${String(document["schema_version"])} is not ${schemaVersion}`);
  }
  const tokenFile = document["admin_token_file"];
  const directoryFile = document["directory_file"];
  const controlSocket = document["control_socket"];
  return {
    file,
    routers: reader.list(document["routers"], "routers").map((router) => reader.listener(router, "routers")),
    tally: reader.listener(document["tally"], "tally"),
    shards: reader.list(document["shards"], "shards").map((entry) => {
      const shard = reader.object(entry, "shards");
      const nodes = reader.list(shard["nodes"], "shards.nodes");
      return {
        id: Number(shard["id"]),
        nodes: nodes.map((node) => ({ grpc: reader.text(reader.object(node, "shards.nodes")["grpc"], "grpc") })),
        standby: reader
          .list(shard["postgres"], "shards.postgres")
          .map((server) => reader.standbyUrl(server))
          .find((url) => url !== undefined),
      };
    }),
    tls: reader.files(document["tls"], "tls", { certFile: "cert_file", keyFile: "key_file", caFile: "ca_file" }),
    consul: reader.consul(document["consul"]),
    adminTokenFile: typeof tokenFile === "string" ? resolve(dirname(file), tokenFile) : undefined,
    directoryFile: typeof directoryFile === "string" ? resolve(dirname(file), directoryFile) : undefined,
    controlSocket: typeof controlSocket === "string" ? resolve(dirname(file), controlSocket) : undefined,
  };
}

/** Says which file and which field is not as agreed. */
class EndpointsReader {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  json(text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new UsageError(`${this.#file} is not JSON: ${(cause as Error).message}`);
    }
  }

  object(value: unknown, field: string): Record<string, unknown> {
    if (typeof value !== "object" || value === null) throw this.#wrong(field, "an object");
    return value as Record<string, unknown>;
  }

  list(value: unknown, field: string): unknown[] {
    if (!Array.isArray(value)) throw this.#wrong(field, "a list");
    return value;
  }

  text(value: unknown, field: string): string {
    if (typeof value !== "string") throw this.#wrong(field, "a string");
    return value;
  }

  listener(value: unknown, field: string): { grpc: string; connect: string } {
    const { grpc, connect } = this.object(value, field);
    return { grpc: this.text(grpc, `${field}.grpc`), connect: this.text(connect, `${field}.connect`) };
  }

  /** Undefined for a server that is not a standby. */
  standbyUrl(value: unknown): string | undefined {
    const { role, host, port, database, user } = this.object(value, "shards.postgres");
    if (role !== "standby") return undefined;
    const [server, name] = [this.text(host, "shards.postgres.host"), this.text(database, "shards.postgres.database")];
    return `postgres://${this.text(user, "shards.postgres.user")}@${server}:${Number(port)}/${name}`;
  }

  /** The paths that an optional object names, absolute. */
  files<Name extends string>(value: unknown, field: string, names: Readonly<Record<Name, string>>) {
    if (value === undefined) return undefined;
    const object = this.object(value, field);
    const entries = Object.entries<string>(names).map(([name, key]) => [
      name,
      resolve(dirname(this.#file), this.text(object[key], `${field}.${key}`)),
    ]);
    return Object.fromEntries(entries) as Record<Name, string>;
  }

  consul(value: unknown): ConsulEndpoint | undefined {
    const files = this.files(value, "consul", { caFile: "ca_file", tokenFile: "token_file" });
    if (files === undefined) return undefined;
    return { ...files, address: this.text(this.object(value, "consul")["address"], "consul.address") };
  }

  #wrong(field: string, wanted: string): UsageError {
    return new UsageError(`${this.#file}: ${field} is not ${wanted}`);
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new UsageError(`${file} cannot be read: ${message}`);
  }
}
