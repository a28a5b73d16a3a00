/**
 * Calls to Consul's agent on this machine: HTTPS with our certificate authority, a token, a limit of time and size on
 * each. What changes something goes through npm's `consul`. Reads are our own: its answers carry no index to wait from,
 * and have no bound.
 */
import { EventEmitter, setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import Consul from "consul";
import type { ConsulConfig } from "#mesh/mesh-config.ts";

/** `refused`: the token does not allow it. `missing`: Consul does not know what the call is about. `conflict`:
 *  somebody else was faster. */
export type ConsulFailure = "unreachable" | "refused" | "missing" | "conflict" | "failed";

export class ConsulError extends Error {
  readonly kind: ConsulFailure;

  constructor(kind: ConsulFailure, message: string) {
    super(message);
    this.name = "ConsulError";
    this.kind = kind;
  }
}

export type ConsulQuery = {
  /** Answers when there is something newer than this, or after `waitMs`. */
  readonly index?: number;
  readonly waitMs?: number;
  /** Any server may answer, not its leader alone. */
  readonly stale?: boolean;
  readonly recurse?: boolean;
};

export type ConsulAnswer = {
  /** Parsed; undefined where Consul has nothing (404). */
  readonly body: unknown;
  /** 0 where Consul named none. */
  readonly index: number;
  /** Whether the server that answered has a leader: without one it may know less than it did. */
  readonly hasLeader: boolean;
  /** Something was left out that this token may not read. */
  readonly filtered: boolean;
};

export type ReadLimits = { readonly limitMs: number; readonly bytesMax: number; readonly signal: AbortSignal };

/** What npm's `consul` takes with every call. */
export type CallOptions = { readonly token: string; readonly timeout: number; readonly ctx: EventEmitter };

const changeLimitMs = 2_000;
/** As much of what Consul says about a failure as goes into a log line. */
const saidLengthMax = 200;
/** A stale answer from a server that has heard nothing for so long is none. */
const lastContactMsMax = 10_000;

export class ConsulClient {
  readonly #config: ConsulConfig;
  readonly #closing = new AbortController();
  #ca: string;
  #token: string;
  #agent: Agent;
  #consul: Consul;

  /** Throws when a file cannot be read, or holds no token. */
  constructor(config: ConsulConfig) {
    this.#config = config;
    setMaxListeners(0, this.#closing.signal);
    [this.#ca, this.#token] = this.#readFiles();
    this.#agent = new Agent({ keepAlive: true, ca: this.#ca });
    this.#consul = this.#newConsul();
  }

  get address(): string {
    return this.#config.address;
  }

  /** `path` begins behind /v1 and is encoded. Throws ConsulError, also when it is aborted. */
  async read(path: string, query: ConsulQuery, limits: ReadLimits): Promise<ConsulAnswer> {
    return await this.#withFreshFiles(() => this.#read(path, query, limits));
  }

  /** Throws ConsulError. */
  async change<T>(call: (consul: Consul, options: CallOptions) => Promise<T>, limitMs = changeLimitMs): Promise<T> {
    return await this.#withFreshFiles(async () => {
      const ctx = new EventEmitter();
      const cancel = () => ctx.emit("cancel");
      this.#closing.signal.addEventListener("abort", cancel, { once: true });
      try {
        return await call(this.#consul, { token: this.#token, timeout: limitMs, ctx });
      } catch (error) {
        throw changeFailure(error);
      } finally {
        this.#closing.signal.removeEventListener("abort", cancel);
      }
    });
  }

  /** Ends all calls. */
  close(): void {
    this.#closing.abort();
    this.#agent.destroy();
  }

  /** A token may have been replaced, and so may the authority: the files are read again before that is believed. */
  async #withFreshFiles<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      const mayBeOutdated = error instanceof ConsulError && (error.kind === "refused" || error.kind === "unreachable");
      if (!mayBeOutdated || !this.#takeNewFiles()) throw error;
      return await call();
    }
  }

  #takeNewFiles(): boolean {
    let files: [string, string];
    try {
      files = this.#readFiles();
    } catch {
      return false;
    }
    const [ca, token] = files;
    if (ca === this.#ca && token === this.#token) return false;
    this.#token = token;
    if (ca === this.#ca) return true;
    this.#ca = ca;
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true, ca });
    this.#consul = this.#newConsul();
    return true;
  }

  #readFiles(): [ca: string, token: string] {
    const { caFile, tokenFile } = this.#config;
    const token = readFileSync(tokenFile, "utf8").trim();
    if (!/^[!-~]+$/.test(token)) throw new Error(`${tokenFile} holds no token: one line of visible characters`);
    return [readFileSync(caFile, "utf8"), token];
  }

  #newConsul(): Consul {
    const { hostname, port } = new URL(this.#config.address);
    const host = hostname.replace(/^\[|\]$/g, "");
    return new Consul({ host, port: Number(port === "" ? 443 : port), secure: true, agent: this.#agent });
  }

  #read(path: string, query: ConsulQuery, { limitMs, bytesMax, signal }: ReadLimits): Promise<ConsulAnswer> {
    const url = new URL(`/v1${path}`, this.#config.address);
    for (const name of ["stale", "recurse"] as const) if (query[name] === true) url.searchParams.set(name, "");
    if (query.index !== undefined) url.searchParams.set("index", String(query.index));
    if (query.waitMs !== undefined) url.searchParams.set("wait", `${query.waitMs}ms`);
    const limit = AbortSignal.timeout(limitMs);
    const ends = AbortSignal.any([signal, limit, this.#closing.signal]);
    const headers = { "X-Consul-Token": this.#token };
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        const late = limit.aborted ? `no answer within ${limitMs} ms` : error.message;
        reject(error instanceof ConsulError ? error : new ConsulError("unreachable", late));
      };
      try {
        // Throws for an authority that is none.
        const call = request(url, { agent: this.#agent, headers, signal: ends });
        call.once("error", fail);
        call.once("response", (response) => {
          bodyOf(response, bytesMax)
            .then((text) => resolve(answerOf(response, text)), fail)
            .catch(fail);
        });
        call.end();
      } catch (error) {
        fail(error as Error);
      }
    });
  }
}

/** Throws ConsulError when it is longer than it may be. */
async function bodyOf(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      response.destroy();
      throw new ConsulError("failed", `Consul's answer is longer than ${bytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Throws ConsulError. */
function answerOf({ statusCode = 0, headers }: IncomingMessage, text: string): ConsulAnswer {
  const header = (name: string) => String(headers[name] ?? "");
  if (statusCode !== 200 && !(statusCode === 404 && header("x-consul-index") !== ""))
    throw statusError(statusCode, text);
  return {
    body: statusCode === 404 ? undefined : parsed(text),
    index: Number(header("x-consul-index")) || 0,
    hasLeader: header("x-consul-query-backend") === "streaming" || isLed(headers),
    filtered: header("x-consul-results-filtered-by-acls") === "true",
  };
}

/** What an agent keeps by a stream of changes names no leader. */
function isLed(headers: IncomingMessage["headers"]): boolean {
  const silentMs = Number(headers["x-consul-lastcontact"] ?? 0);
  return headers["x-consul-knownleader"] !== "false" && silentMs < lastContactMsMax;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ConsulError("failed", "Consul's answer is no JSON");
  }
}

/** What npm's `consul` throws: a response, or what the connection says. */
function changeFailure(error: unknown): ConsulError {
  const { response, message } = error as Error & { response?: { statusCode?: number; body?: unknown } };
  if (response === undefined) return new ConsulError("unreachable", message);
  const { statusCode = 0, body } = response;
  return statusError(statusCode, typeof body === "string" || Buffer.isBuffer(body) ? String(body) : message);
}

const failureOf: ReadonlyMap<number, ConsulFailure> = new Map([
  [403, "refused"],
  [404, "missing"],
  [409, "conflict"],
]);

function statusError(status: number, said: string): ConsulError {
  const kind = failureOf.get(status) ?? "failed";
  const words = said.replace(/\s+/g, " ").trim().slice(0, saidLengthMax);
  return new ConsulError(kind, `Consul answered ${status}${words === "" ? "" : `: ${words}`}`);
}
