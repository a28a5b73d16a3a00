/** A test's own client of a RedisRig: for what somebody does to Redis behind our back. */
import { Redis } from "ioredis";
import type { RedisPlace } from "#mesh/redis-place.ts";
import { loopback } from "./postgres-settings.ts";
import type { RedisRig } from "./redis-rig.ts";

/** As a service's configuration would say. */
export function placeOf({ port, password }: RedisRig): RedisPlace {
  return { host: loopback, port, database: 0, username: undefined, password, tls: false };
}

/** As a user who may do this and nothing else, to what is Urna's; Redis forgets it when it ends. */
export async function restrictedPlace(rig: RedisRig, admin: Redis, commands: readonly string[]): Promise<RedisPlace> {
  const username = "restricted";
  const rights = commands.map((command) => `+${command}`);
  await admin.acl("SETUSER", username, "reset", "on", `>${rig.password}`, "~urna:*", "&urna:*", ...rights);
  return { ...placeOf(rig), username };
}

/** Connects again whenever Redis is back; a command while it is away fails. */
export function redisClient({ port, password }: RedisRig): Redis {
  const client = new Redis({
    host: loopback,
    port,
    password,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => 50,
  });
  client.on("error", () => {});
  return client;
}
