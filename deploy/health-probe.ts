/** Asks grpc.health.v1 whether a service is served. */
import { Client, credentials } from "@grpc/grpc-js";
import { service } from "grpc-health-check";

const probeLimitMs = 1_000;
const serving = "SERVING";

/** False also when nobody answers. `serviceName` empty: the server as a whole. */
export function isServing(address: string, serviceName = ""): Promise<boolean> {
  const { path, requestSerialize, responseDeserialize } = service["Check"] as NonNullable<(typeof service)[string]>;
  const client = new Client(address, credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  return new Promise((resolve) => {
    const deadline = Date.now() + probeLimitMs;
    const request = { service: serviceName };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error, response) => {
      client.close();
      resolve(error === null && (response as { status?: unknown } | undefined)?.status === serving);
    });
  });
}
