/** What the launcher takes from its environment; no other file of this room reads it. */
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const { env } = process;

/** Where this user's cache is. */
export const userCacheFolder = join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "urna");

/** Where root keeps what unprivileged users must be able to read; the first one that they can reach is taken. */
export const systemCacheFolders: readonly string[] = ["/var/cache/urna", join(tmpdir(), "urna-root-cache")];

/** Where root's Postgres data goes when the Postgres user cannot reach the run's folder. */
export const systemStateFolder = "/var/lib/urna";

/** What every process that we start may see of our environment: not the test runner's or npm's variables. */
export const inheritedEnvironment = environmentOf("PATH", "HOME", "LANG", "TZ", "TMPDIR");

/** What our services are handed on besides: where their traces go, and how many calls are recorded. */
export const tracesEnvironment = environmentOf("URNA_TRACES_ENDPOINT", "URNA_TRACES_RATIO");

/** Whether this process runs as a script of package.json. */
export const startedByNpm = env["npm_lifecycle_event"] !== undefined;

/** The whole environment, for tools that a developer would run by hand. */
export const developerEnvironment: Readonly<Record<string, string | undefined>> = env;

/** Tools that tests may not do without, as URNA_REQUIRE lists them: what is skipped on other machines fails here. */
export const requiredTools: readonly string[] = (env["URNA_REQUIRE"] ?? "").split(",").map((name) => name.trim());

export type ToolVariable = "URNA_CONSUL" | "URNA_GHZ" | "URNA_GRPCURL" | "URNA_REDIS";

/** Programs that shall be taken instead of what the PATH has, or of what would be built. */
export const namedTools: Readonly<Record<ToolVariable, string | undefined>> = {
  URNA_CONSUL: env["URNA_CONSUL"],
  URNA_GHZ: env["URNA_GHZ"],
  URNA_GRPCURL: env["URNA_GRPCURL"],
  URNA_REDIS: env["URNA_REDIS"],
};

/** Those of these variables that are set. */
function environmentOf(...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
