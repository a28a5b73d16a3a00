/** The environment variables of the `urna` command; the only place of this room that reads them. */
import { ConfigReader } from "#mesh/config-reader.ts";

export type CliConfig = {
  /** URNA_ADMIN_TOKEN: the token of calls that change elections, when it is not to come from a file. */
  readonly adminToken: string | undefined;
};

export function readConfig(): CliConfig {
  const reader = new ConfigReader(process.env);
  return { adminToken: reader.optional("URNA_ADMIN_TOKEN") };
}
