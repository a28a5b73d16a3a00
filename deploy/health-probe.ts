/** Asks grpc.health.v1 whether a service is served. */
import { HealthProbe } from "#mesh/health-probe.ts";
import type { Identity } from "#mesh/identity.ts";

const probeLimitMs = 1_000;

/** False also when nobody answers. `serviceName` empty: the server as a whole. */
export async function isServing(address: string, serviceName = "", identity?: Identity): Promise<boolean> {
  const probe = new HealthProbe(address, identity);
  try {
    return await probe.isServing(serviceName, probeLimitMs);
  } finally {
    probe.close();
  }
}
