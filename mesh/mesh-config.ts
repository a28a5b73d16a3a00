/** What every process of the mesh is told by its environment: where discovery is, and who it is to the others. */
import type { ConfigReader } from "#mesh/config-reader.ts";
import { ConfigError } from "#mesh/config-reader.ts";
import type { TracesConfig } from "#mesh/tracing.ts";

/** Consul's agent on this machine. */
export type ConsulConfig = {
  /** "https://127.0.0.1:8501" */
  readonly address: string;
  readonly caFile: string;
  readonly tokenFile: string;
  /** The last whole view of the directory: what a process starts from while Consul is away. */
  readonly cacheFile: string;
};

export type TlsConfig = { readonly certFile: string; readonly keyFile: string; readonly caFile: string };

export type MeshConfig = {
  readonly discovery: { readonly kind: "file"; readonly file: string } | ({ readonly kind: "consul" } & ConsulConfig);
  /** Undefined: plaintext. */
  readonly tls: TlsConfig | undefined;
  /** Undefined: no traces. */
  readonly traces: TracesConfig | undefined;
};

/** Discovery in a file, and no identity: the mesh of one machine. */
export function fileMesh(file: string): MeshConfig {
  return { discovery: { kind: "file", file }, tls: undefined, traces: undefined };
}

/** Throws ConfigError naming the variable. */
export function readMeshConfig(reader: ConfigReader): MeshConfig {
  return { discovery: readDiscovery(reader), tls: readTls(reader), traces: readTraces(reader) };
}

function readDiscovery(reader: ConfigReader): MeshConfig["discovery"] {
  const address = reader.optional("URNA_CONSUL_ADDRESS");
  if (address === undefined) return fileMesh(reader.text("URNA_DIRECTORY_FILE")).discovery;
  if (!/^https:/i.test(address) || !URL.canParse(address)) {
    // Tokens are sent there.
    throw new ConfigError("URNA_CONSUL_ADDRESS", `must be an https URL, not "${address}"`);
  }
  return {
    kind: "consul",
    address,
    caFile: reader.text("URNA_CONSUL_CA_FILE"),
    tokenFile: reader.text("URNA_CONSUL_TOKEN_FILE"),
    cacheFile: reader.text("URNA_DIRECTORY_CACHE_FILE"),
  };
}

/** Undefined: plaintext. Throws ConfigError naming the variable. */
export function readTls(reader: ConfigReader): TlsConfig | undefined {
  const certFile = reader.optional("URNA_TLS_CERT_FILE");
  if (certFile === undefined) return undefined;
  return {
    certFile,
    // In one file with the certificate, unless it is said to be elsewhere.
    keyFile: reader.text("URNA_TLS_KEY_FILE", certFile),
    caFile: reader.text("URNA_TLS_CA_FILE"),
  };
}

const tracesRatioDefault = 0.01;

function readTraces(reader: ConfigReader): TracesConfig | undefined {
  const endpoint = reader.optional("URNA_TRACES_ENDPOINT");
  if (endpoint === undefined) return undefined;
  if (!/^https?:/.test(endpoint) || !URL.canParse(endpoint)) {
    throw new ConfigError("URNA_TRACES_ENDPOINT", `must be an http or https URL, not "${endpoint}"`);
  }
  const text = reader.text("URNA_TRACES_RATIO", String(tracesRatioDefault));
  const ratio = Number(text);
  if (text.trim() === "" || !(ratio >= 0 && ratio <= 1)) {
    throw new ConfigError("URNA_TRACES_RATIO", `must be a number from 0 to 1, not "${text}"`);
  }
  return { endpoint, ratio };
}
