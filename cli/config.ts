/** The environment variables of the `urna` command; the only place of this room that reads them. */
import { ConfigReader } from "#mesh/config-reader.ts";
import type { TlsConfig } from "#mesh/mesh-config.ts";
import { readTls } from "#mesh/mesh-config.ts";

export type CliConfig = {
  /** URNA_ADMIN_TOKEN: the token of calls that change elections, when it is not to come from a file. */
  readonly adminToken: string | undefined;
  /** URNA_TLS_CERT_FILE, URNA_TLS_KEY_FILE, URNA_TLS_CA_FILE: what is shown on gRPC, when it is not to come from endpoints.json. */
  readonly tls: TlsConfig | undefined;
};

export function readConfig(): CliConfig {
  const reader = new ConfigReader(process.env);
  return {
    adminToken: reader.optional("URNA_ADMIN_TOKEN"),
    // Read by the commands that need it: what is wrong with it is theirs to say.
    get tls() {
      return readTls(reader);
    },
  };
}
