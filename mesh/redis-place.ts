/** Where Redis is, as a service's environment says: nothing said means that there is none. */
import { readFileSync } from "node:fs";
import type { ConfigReader } from "#mesh/config-reader.ts";
import { ConfigError } from "#mesh/config-reader.ts";

export type RedisPlace = {
  readonly host: string;
  readonly port: number;
  readonly database: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: boolean;
};

const urlVariable = "URNA_REDIS_URL";
const passwordVariable = "URNA_REDIS_PASSWORD_FILE";
const portDefault = 6_379;

/** Undefined when there is no Redis. Throws ConfigError naming the variable. */
export function readRedisPlace(reader: ConfigReader): RedisPlace | undefined {
  const text = reader.optional(urlVariable);
  const passwordFile = reader.optional(passwordVariable);
  if (text === undefined) {
    if (passwordFile !== undefined) throw new ConfigError(passwordVariable, `is set, and ${urlVariable} is not`);
    return undefined;
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const path = /^\/?(\d{0,4})$/.exec(url?.pathname ?? "-");
  if (
    url === undefined ||
    path === null ||
    !/^rediss?:$/.test(url.protocol) ||
    url.hostname === "" ||
    url.search !== ""
  ) {
    throw new ConfigError(
      urlVariable,
      `must be redis://host:port or rediss://host:port, not "${withoutPassword(text)}"`,
    );
  }
  if (url.password !== "") throw new ConfigError(urlVariable, `holds a password; ${passwordVariable} is for that`);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? portDefault : Number(url.port),
    database: Number(path[1] ?? 0),
    username: url.username === "" ? undefined : decodeURIComponent(url.username),
    password: passwordFile === undefined ? undefined : readPassword(passwordFile),
    tls: url.protocol === "rediss:",
  };
}

function readPassword(path: string): string {
  let password: string;
  try {
    password = readFileSync(path, "utf8").trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : cause;
    throw new ConfigError(passwordVariable, `names a file that cannot be read: ${why}`);
  }
  if (password === "") throw new ConfigError(passwordVariable, "names an empty file");
  return password;
}

function withoutPassword(text: string): string {
  return text.replace(/:[^:@/]*@/, ":…@");
}
