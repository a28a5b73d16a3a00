/** Asks another server's grpc.health.v1 whether a service is SERVING. */
import type { MethodDefinition } from "@grpc/grpc-js";
import { Client, credentials } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { channelOptions } from "#mesh/grpc-channel.ts";
import type { Identity } from "#mesh/identity.ts";
import { serviceKinds } from "#mesh/spiffe-id.ts";

type HealthAnswer = { readonly status: string };

export class HealthProbe {
  readonly #client: Client;

  /** `address` is "host:port". */
  constructor(address: string, identity?: Identity) {
    const secured = identity?.channelCredentials(serviceKinds);
    this.#client = new Client(address, secured ?? credentials.createInsecure(), channelOptions);
  }

  /** False also when the server cannot be reached in time. `service` is its full name, "" the whole server. */
  isServing(service: string, limitMs: number): Promise<boolean> {
    const check = healthService["Check"] as MethodDefinition<{ service: string }, HealthAnswer>;
    return new Promise<boolean>((resolve) => {
      // Throws, and so rejects, when the probe has been closed.
      this.#client.makeUnaryRequest(
        check.path,
        check.requestSerialize,
        check.responseDeserialize,
        { service },
        { deadline: Date.now() + limitMs },
        (error, answer) => resolve(error === null && answer?.status === "SERVING"),
      );
    }).catch(() => false);
  }

  close(): void {
    this.#client.close();
  }
}
