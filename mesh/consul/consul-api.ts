/**
 * Consul's HTTP API as the bootstrap, operators' commands and tests call it, with one token: policies and tokens,
 * intentions, servers, which npm's `consul` does not reach. Services use consul-client.ts.
 */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";

const callLimitMs = 15_000;

/** What Consul refused, or could not do. */
export class ConsulApiError extends Error {
  override readonly name = "ConsulApiError";
  readonly status: number;

  constructor(status: number, method: string, path: string, said: string) {
    super(`Consul answered ${method} ${path} with ${status}: ${said.trim().slice(0, 500)}`);
    this.status = status;
  }
}

export type ConsulApiOptions = {
  /** "https://127.0.0.1:8501" */
  readonly address: string;
  readonly caFile: string;
  /** Undefined: anonymous. */
  readonly token: string | undefined;
};

export class ConsulApi {
  readonly #options: ConsulApiOptions;
  readonly #agent: Agent;

  constructor(options: ConsulApiOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, ca: readFileSync(options.caFile) });
  }

  get(path: string): Promise<unknown> {
    return this.#call("GET", path);
  }

  /** A string goes as it is, everything else as JSON. */
  put(path: string, body?: unknown): Promise<unknown> {
    return this.#call("PUT", path, body);
  }

  delete(path: string): Promise<unknown> {
    return this.#call("DELETE", path);
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Throws ConsulApiError, or what the connection says. */
  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const { address, token } = this.#options;
    const payload = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const { status, said } = await new Promise<{ status: number; said: string }>((resolve, reject) => {
      const call = request(`${address}/v1${path}`, {
        method,
        agent: this.#agent,
        headers: token === undefined ? {} : { "X-Consul-Token": token },
        signal: AbortSignal.timeout(callLimitMs),
      });
      call.once("error", reject);
      call.once("response", (response) => {
        text(response).then((said) => resolve({ status: response.statusCode ?? 0, said }), reject);
      });
      call.end(payload);
    });
    if (status !== 200) throw new ConsulApiError(status, method, path, said);
    return said === "" ? undefined : (JSON.parse(said) as unknown);
  }
}
