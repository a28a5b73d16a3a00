/** What grpc.health.v1 says of a whole server. */
import type { ServiceDefinition } from "@grpc/grpc-js";
import { credentials, makeClientConstructor } from "@grpc/grpc-js";
import { service } from "grpc-health-check";
import type { Identity } from "#mesh/identity.ts";
import { serviceKinds } from "#mesh/spiffe-id.ts";

export type Health = "serving" | "not serving" | "unreachable";

const checkMsMax = 1_000;

type CheckMethod = (
  request: { service: string },
  options: { deadline: number },
  callback: (error: Error | null, response?: { status: string }) => void,
) => void;

export function checkHealth(address: string, identity?: Identity): Promise<Health> {
  // The definition is the library's own: it brings the health protocol's file, and speaks plain objects.
  const HealthClient = makeClientConstructor(service as unknown as ServiceDefinition, "Health");
  const secured = identity?.channelCredentials(serviceKinds) ?? credentials.createInsecure();
  const client = new HealthClient(address, secured, { "grpc.enable_http_proxy": 0 });
  return new Promise((resolve) => {
    const check = client["check"] as CheckMethod;
    check.call(client, { service: "" }, { deadline: Date.now() + checkMsMax }, (error, response) => {
      client.close();
      if (error !== null) resolve("unreachable");
      else resolve(response?.status === "SERVING" ? "serving" : "not serving");
    });
  });
}
