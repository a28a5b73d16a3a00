/**
 * What a process registers with Consul's agent: itself, and two checks. One says whether its port accepts connections,
 * so that Consul knows within a second that it has ended. The other carries what it says of itself, which is no word
 * about whether it lives: a shard without a standby is critical and alive.
 */
import type { Announcement, ServiceStatus } from "#mesh/announcer.ts";
import { formatHostPort } from "#mesh/host-port.ts";

/** A process that says nothing for so long is critical. */
export const statusTtlMs = 15_000;
/** Whoever has been gone for so long is forgotten. */
const forgottenAfter = "10m";
const livenessEvery = "1s";
const livenessLimit = "3s";

export const livenessCheckId = (id: string) => `alive:${id}`;
export const statusCheckId = (id: string) => `status:${id}`;

type Check = {
  readonly checkid: string;
  readonly name: string;
  readonly status: ServiceStatus["level"];
  readonly timeout: string;
  readonly ttl?: string;
  readonly tcp?: string;
  readonly interval?: string;
  readonly deregistercriticalserviceafter?: string;
};

/** As npm's `consul` takes it. */
export type Registration = {
  readonly name: string;
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly tags: string[];
  readonly meta: Record<string, string>;
  readonly checks: Check[];
};

/** A process that listens everywhere is where its machine is. */
const everywhere = ["0.0.0.0", "::"];

export function registrationOf(announcement: Announcement, status: ServiceStatus): Registration {
  const { service, id, host, port, tags, meta } = announcement;
  return {
    name: service,
    id,
    address: everywhere.includes(host) ? "" : host,
    port,
    tags: [...tags],
    meta: { ...meta },
    checks: [
      {
        checkid: statusCheckId(id),
        name: "status",
        ttl: `${statusTtlMs}ms`,
        status: status.level,
        timeout: livenessLimit,
      },
      {
        checkid: livenessCheckId(id),
        name: "accepts connections",
        // Not gRPC: a port that demands a certificate would refuse Consul, and be thought dead.
        tcp: formatHostPort({ host, port }),
        interval: livenessEvery,
        timeout: livenessLimit,
        // Who registers listens already.
        status: "passing",
        deregistercriticalserviceafter: forgottenAfter,
      },
    ],
  };
}
